"""Every network computes what its reference computes: see `tests/golden/make_goldens.py`."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.weights.names import names_of, renamed, shapes_of, source_of
from cnnjax.weights.torch_names import from_state_dict, to_state_dict, torch_shapes
from tests.models.golden import CASES, GOLDEN, Case, Slow, draw, network_of

TOLERANCE = 1e-4
TOLERANCE64 = 1e-9
# Where the reference's own float32 is worse than this, evaluation is compared in float64 only.
STEADY = 1e-5
# Two orders of summing part by what float64 rounds off, enlarged as the network enlarges it; what
# float32 loses in the reference tells by how much. Beyond TOLERANCE64 where that is above 0.9 %.
LOST = 64 * 2.0**-29
# PyTorch's gradient of a hard sigmoid is 1/6 rounded to float32, whatever the type.
TOLERANCE64_GRADIENT = 1e-7
# These networks are compiled to be run once: XLA's expensive passes cost more than they give.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def _step(model: Any, variables: Any, images: jax.Array, labels: jax.Array) -> Any:
    """Return the logits of all heads, updated statistics and input gradient of a training step."""

    def loss(images: jax.Array) -> Any:
        (logits, features), new = model.apply(
            variables, images, train=True, features=True, mutable=["batch_stats"]
        )
        heads = [logits, *(features[f] for f in sorted(features) if f.startswith("aux"))]
        total = sum(
            optax.softmax_cross_entropy_with_integer_labels(head, labels).mean() for head in heads
        )
        return total, (jnp.concatenate(heads, -1), new.get("batch_stats", {}))

    gradient, (logits, statistics) = jax.grad(loss, has_aux=True)(images)
    return logits, statistics, gradient


def _evaluate(model: Any, variables: Any, images: jax.Array) -> jax.Array:
    return model.apply(variables, images, train=False)


def _run(function: Any, model: Any, *arguments: Any) -> Any:
    lowered = jax.jit(function, static_argnums=0).lower(model, *arguments)
    return lowered.compile(compiler_options=QUICK)(*arguments)


def _check(what: str, value: Any, golden: np.ndarray, tolerance: float, norm: Any = None) -> None:
    error = np.linalg.norm(np.asarray(value, np.float64) - golden)
    relative = error / (np.linalg.norm(golden) if norm is None else norm)
    assert relative < tolerance, f"{what}: relative error {relative:.1e}"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Let go of compiled programs: some 80 networks fill a process's memory maps (see conftest)."""
    yield
    jax.clear_caches()


def _cases(*slow: Slow) -> Any:
    """Give a test every case, those that are so slow in the slow run."""
    marks = lambda case: [pytest.mark.slow] if case.slow in slow else []
    cases = [pytest.param(case, id=case.name, marks=marks(case)) for case in CASES]
    return pytest.mark.parametrize("case", cases)


def _prepare(case: Case) -> tuple[Any, np.ndarray, Any, dict[str, str]]:
    """Return what the reference found, the pixels, shapes of the variables, and their names there.

    The reference's names and ours differ where another publisher's are ours.
    """
    golden = np.load(GOLDEN / f"{case.name}.npz")
    pixels = draw.images(case.name, int(golden["seed"]), case.shape).transpose(0, 2, 3, 1)
    model, key, images = network_of(case, jnp.float32), jax.random.key(0), jnp.asarray(pixels)
    expected = jax.eval_shape(lambda key: model.init(key, images, train=False), key)
    wanted, ours = golden["names"].tobytes().decode().split("\n"), torch_shapes(expected)
    network = case.network or case.name
    source = source_of(network, [line.split(" ")[0] for line in wanted], ours)
    there = names_of(source, network, ours)
    shapes = shapes_of(ours, there)
    assert [f"{name} {','.join(map(str, shapes[name]))}" for name in sorted(shapes)] == wanted
    return golden, pixels, expected, there


def _drawn(mode: str, expected: Any, there: dict[str, str]) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a network's variables, and the same under the names there."""
    state = draw.state(shapes_of(torch_shapes(expected), there), mode)
    return from_state_dict(renamed(state, {b: a for a, b in there.items()}), expected), state


@_cases(True)
def test_evaluation_equals_its_reference(case: Case) -> None:
    golden, pixels, expected, there = _prepare(case)
    variables, _ = _drawn("evaluation", expected, there)
    if not case.float64 or golden["rounding"] < STEADY:
        logits = _run(_evaluate, network_of(case, jnp.float32), variables, jnp.asarray(pixels))
        _check("evaluation logits", logits, golden["logits"], TOLERANCE)
        return
    with jax.enable_x64(True):
        variables = jax.tree.map(jnp.float64, variables)
        images = jnp.asarray(pixels, jnp.float64)
        exact = _run(_evaluate, network_of(case, jnp.float64), variables, images)
    allowed = max(TOLERANCE64, LOST * golden["rounding"])
    _check("evaluation logits in float64", exact, golden["logits"], allowed)


@_cases(True, "step")
def test_training_step_equals_its_reference(case: Case) -> None:
    golden, pixels, expected, there = _prepare(case)
    variables, training = _drawn("training", expected, there)
    with jax.enable_x64(True) if case.float64 else nullcontext():
        dtype, tolerance = (jnp.float64, TOLERANCE64) if case.float64 else (jnp.float32, TOLERANCE)
        model, images = network_of(case, dtype), jnp.asarray(pixels, dtype)
        labels = jnp.asarray(draw.labels(case.batch))
        # What is drawn are float32 numbers: nothing is lost on the way.
        variables = jax.tree.map(dtype, variables)
        logits, statistics, gradient = _run(_step, model, variables, images, labels)

    _check("training logits", logits, golden["train_logits"], tolerance)
    after = renamed(to_state_dict({"batch_stats": statistics}), there)
    after = {n: a for n, a in after.items() if n.endswith(("running_mean", "running_var"))}
    assert len(after) == len(golden["statistics"])
    for name, projected in zip(sorted(after), golden["statistics"], strict=True):
        change = after[name].astype(np.float64) - training[name]
        norm = np.linalg.norm(change)
        _check(name, draw.projections(name, change), projected, tolerance, norm)
    nchw = np.asarray(gradient).transpose(0, 3, 1, 2)
    projected = draw.projections("gradient", nchw, 32)
    tolerance = TOLERANCE64_GRADIENT if case.float64 else TOLERANCE
    _check("input gradient", projected, golden["gradient"], tolerance)
