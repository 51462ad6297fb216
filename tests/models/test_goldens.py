"""Every network computes what its reference computes: see `tests/golden/make_goldens.py`."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cnnjax
from cnnjax.models import MODELS
from cnnjax.weights.torch_names import from_state_dict, to_state_dict, torch_shapes

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
import draw  # noqa: E402
from cases import CASES, Case  # noqa: E402

TOLERANCE = 1e-4
# These networks are compiled to be run once: XLA's expensive passes cost more than they give.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def _build(case: Case) -> Any:
    """Build the network with every random drop off."""
    fields = [f.name for f in dataclasses.fields(MODELS[case.name].family)]
    rates = {f: 0.0 for f in fields if f.endswith("_rate") or f.startswith("drop")}
    return cnnjax.build(case.name, **{"num_classes": draw.CLASSES, **rates, **case.overrides})


def _step(model: Any, variables: Any, images: jax.Array, labels: jax.Array) -> Any:
    """Return the logits, updated statistics and input gradient of a training step."""

    def loss(images: jax.Array) -> Any:
        logits, new = model.apply(variables, images, train=True, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean(), (logits, new.get("batch_stats", {}))

    gradient, (logits, statistics) = jax.grad(loss, has_aux=True)(images)
    return logits, statistics, gradient


def _evaluate(model: Any, variables: Any, images: jax.Array) -> jax.Array:
    return model.apply(variables, images, train=False)


def _run(function: Any, model: Any, *arguments: Any) -> Any:
    lowered = jax.jit(function, static_argnums=0).lower(model, *arguments)
    return lowered.compile(compiler_options=QUICK)(*arguments)


def _check(what: str, value: Any, golden: np.ndarray, norm: Any = None) -> None:
    error = np.linalg.norm(np.asarray(value, np.float64) - golden)
    relative = error / (np.linalg.norm(golden) if norm is None else norm)
    assert relative < TOLERANCE, f"{what}: relative error {relative:.1e}"


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=c.name, marks=[pytest.mark.slow] if c.slow else []) for c in CASES],
)
def test_network_equals_its_reference(case: Case) -> None:
    golden = np.load(GOLDEN / f"{case.name}.npz")
    model = _build(case)
    shape = (case.batch, case.channels, case.size, case.size)
    pixels = draw.images(case.name, int(golden["seed"]), shape)
    images = jnp.asarray(pixels.transpose(0, 2, 3, 1))
    expected = jax.eval_shape(lambda key: model.init(key, images, train=False), jax.random.key(0))

    shapes = torch_shapes(expected)
    lines = [f"{name} {','.join(map(str, shapes[name]))}" for name in sorted(shapes)]
    assert lines == golden["names"].tobytes().decode().split("\n")

    state = draw.state(shapes)
    labels = jnp.asarray(draw.labels(case.batch))
    variables = from_state_dict(state, expected)
    logits, statistics, gradient = _run(_step, model, variables, images, labels)

    _check("training logits", logits, golden["train_logits"])
    after = to_state_dict({"batch_stats": statistics})
    change = {name: after[name].astype(np.float64) - state[name] for name in after}
    assert len(after) == len(golden["statistics"])
    for name, (*projected, norm) in zip(sorted(after), golden["statistics"], strict=True):
        _check(name, draw.projections(name, change[name], 2), np.array(projected), norm)
    nchw = np.asarray(gradient).transpose(0, 3, 1, 2)
    _check("input gradient", draw.projections("gradient", nchw, 32), golden["gradient"])

    fitted = draw.evaluation_statistics(state, change, float(golden["momentum"]))
    variables = from_state_dict(state | fitted, expected)
    _check("evaluation logits", _run(_evaluate, model, variables, images), golden["logits"])
