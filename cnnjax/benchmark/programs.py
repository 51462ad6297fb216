"""The programs that are timed: one training step and one forward pass, compiled ahead of time."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import ops
from cnnjax.benchmark.case import Case
from cnnjax.models import build
from cnnjax.train.losses import CrossEntropy
from cnnjax.typing import Array, Images, Labels

__all__ = [
    "LEARNING_RATE",
    "MOMENTUM",
    "Program",
    "batches",
    "compile_mode",
    "compile_program",
    "forward_of",
    "initial_state",
    "train_step_of",
]

MOMENTUM = 0.9
LEARNING_RATE = 1e-3
"""Small: a step on random labels must stay finite, since infinities change what a step costs."""

State = dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A compiled program, what it took to get it, and what XLA says it will need.

    Attributes:
        call: the executable.
        lower_seconds: tracing and lowering.
        compile_seconds: XLA's part.
        cpu_seconds: processor time of both, all threads; says more on a busy machine.
        memory: bytes of `arguments`, `outputs`, `aliased` (outputs that reuse arguments) and
            `temporary`; `{}` where XLA does not say.
    """

    call: Callable[..., Any]
    lower_seconds: float
    compile_seconds: float
    cpu_seconds: float
    memory: dict[str, int]

    @property
    def peak_bytes(self) -> int | None:
        """Arguments, outputs and temporaries together; None where XLA does not say."""
        if not self.memory:
            return None
        return sum(self.memory.values()) - 2 * self.memory["aliased"]


def train_step_of(model: Any) -> Callable[[State, Images, Labels], tuple[State, Array]]:
    """Return the step `(state, images, labels) -> (state, loss)`.

    SGD with momentum on the softmax loss, norms in training mode, dropout drawn anew each step.
    """

    def step(state: State, images: Images, labels: Labels) -> tuple[State, Array]:
        key = jax.random.fold_in(jax.random.key(0), state["step"])

        def loss_of(params: Any) -> tuple[Array, Any]:
            logits, updated = model.apply(
                {"params": params, "batch_stats": state["batch_stats"]},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return CrossEntropy()(
                logits, jax.nn.one_hot(labels, logits.shape[-1])
            ).mean(), updated.get("batch_stats", {})

        (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state["params"])
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, state["velocity"], gradients)
        params = jax.tree.map(lambda p, v: p - LEARNING_RATE * v, state["params"], velocity)
        new = {"params": params, "batch_stats": batch_stats, "velocity": velocity}
        return {**new, "step": state["step"] + 1}, loss

    return step


def forward_of(model: Any) -> Callable[[State, Images], Array]:
    """Return `(state, images) -> logits`, norms and dropout in evaluation mode."""

    def forward(state: State, images: Images) -> Array:
        variables = {"params": state["params"], "batch_stats": state["batch_stats"]}
        return model.apply(variables, images, train=False)

    return forward


def initial_state(model: Any, image_shape: Sequence[int], seed: int = 0) -> State:
    """Return a state whose kernels are random; nothing is compiled for it.

    Kernels have variance 2 / fan-in, scales and variances are 1, all else is 0.
    """
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), blank)
    draw = np.random.default_rng(seed)

    def value(path: tuple[Any, ...], leaf: Any) -> Array:
        name = path[-1].key
        if name == "kernel":
            deviation = np.sqrt(2 / max(np.prod(leaf.shape[:-1]), 1))
            return jnp.asarray(draw.normal(0, deviation, leaf.shape).astype(leaf.dtype))
        one = name in ("scale", "var")
        return jnp.full(leaf.shape, 1 if one else 0, leaf.dtype)

    variables = jax.tree_util.tree_map_with_path(value, dict(shapes))
    return {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
        "velocity": jax.tree.map(jnp.zeros_like, variables["params"]),
        "step": jnp.zeros((), jnp.int32),
    }


def batches(case: Case, number: int, classes: int, seed: int = 0) -> tuple[Array, Array]:
    """Return random images `[number, B, H, W, C]`, standard normal, and labels `[number, B]`."""
    draw = np.random.default_rng(seed)
    shape = (number, case.batch, *case.image_shape)
    images = draw.standard_normal(shape, np.float32)
    labels = draw.integers(0, classes, shape[:2]).astype(np.int32)
    return jnp.asarray(images), jnp.asarray(labels)


def compile_program(
    function: Callable[..., Any], arguments: Sequence[Any], *, stock: bool, donate: bool
) -> Program:
    """Compile a function for the shapes of its arguments, the first of them donated if asked.

    Args:
        function: pure.
        arguments: arrays, or anything with shape and dtype.
        stock: trace it with the stock operations in place of `cnnjax.ops`.
        donate: let the result reuse the memory of the first argument.
    """
    jitted = jax.jit(function, donate_argnums=(0,) if donate else ())
    with ops.stock() if stock else contextlib.nullcontext():
        start, busy = time.perf_counter(), time.process_time()
        lowered = jitted.lower(*arguments)
        middle = time.perf_counter()
        compiled = lowered.compile()
        end, cpu = time.perf_counter(), time.process_time() - busy
    return Program(compiled, middle - start, end - middle, cpu, _memory(compiled))


def compile_mode(case: Case, mode: str, *, stock: bool) -> tuple[Program, State, Array, Array]:
    """Compile a case's training step or forward pass.

    Returns:
        The program, and the state, images and labels that it takes (a forward pass: no labels).
    """
    model = build(case.network)
    state = initial_state(model, case.image_shape)
    images, labels = batches(case, 1, _classes(model))
    if mode == "train":
        function, arguments = train_step_of(model), (state, images[0], labels[0])
    else:
        function, arguments = forward_of(model), (state, images[0])  # type: ignore[assignment]
    program = compile_program(function, arguments, stock=stock, donate=mode == "train")
    return program, state, images[0], labels[0]


def _classes(model: Any) -> int:
    return model.num_classes


def _memory(compiled: Any) -> dict[str, int]:
    try:
        found = compiled.memory_analysis()
    except (NotImplementedError, RuntimeError):  # not on every platform
        return {}
    if found is None:
        return {}
    return {
        "arguments": found.argument_size_in_bytes,
        "outputs": found.output_size_in_bytes,
        "aliased": found.alias_size_in_bytes,
        "temporary": found.temp_size_in_bytes,
    }
