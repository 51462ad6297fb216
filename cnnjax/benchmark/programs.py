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
from cnnjax.train import TrainState, make_train_step
from cnnjax.train.state import start_state
from cnnjax.train.step import Batch, TrainStep, forward
from cnnjax.typing import Array, Images, Logits, Model

__all__ = [
    "Program",
    "batches",
    "compile_mode",
    "compile_program",
    "forward_of",
    "initial_state",
    "outline",
    "train_step_of",
]

STEPS = 1000
"""Of the run that the step is part of, for its schedule."""


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


def train_step_of(case: Case) -> TrainStep:
    """Return the step that `cnnjax.train.fit` takes with the case's recipe."""
    return make_train_step(case.model, case.recipe, STEPS)


def forward_of(model: Model) -> Callable[[TrainState, Images], Logits]:
    """Return `(state, images) -> logits`, norms and dropout in evaluation mode."""

    def evaluate(state: TrainState, images: Images) -> Logits:
        return forward(model, state.variables, images, state.mean, state.std)

    return evaluate


def initial_state(case: Case, seed: int = 0) -> TrainState:
    """Return a state whose kernels are random; no program draws them.

    Kernels have variance 2 / fan-in, scales and variances are 1, all else is 0.
    """
    draw = np.random.default_rng(seed)

    def value(path: tuple[Any, ...], leaf: Any) -> Array:
        name = path[-1].key
        if name == "kernel":
            deviation = np.sqrt(2 / max(np.prod(leaf.shape[:-1]), 1))
            return jnp.asarray(draw.normal(0, deviation, leaf.shape).astype(leaf.dtype))
        one = name in ("scale", "var")
        return jnp.full(leaf.shape, 1 if one else 0, leaf.dtype)

    _, shapes = outline(case.model, case.image_shape)
    variables = jax.tree_util.tree_map_with_path(value, dict(shapes))
    # Of uniformly distributed bytes.
    moments = [jnp.full(case.channels, moment, jnp.float32) for moment in (1 / 2, 12**-0.5)]
    state = start_state(variables, case.recipe, jax.tree.map(jnp.float32, case.hyper), *moments)
    # Copies: an average begins as the weights, and what a step donates may be there once only.
    return jax.tree.map(jnp.copy, state)


def outline(model: Model, image_shape: Sequence[int]) -> tuple[Any, Any]:
    """Return the shapes of the logits of one image, and of the variables; nothing is computed."""
    blank = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, blank)
    return jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, blank), variables


def batches(case: Case, number: int, seed: int = 0) -> Batch:
    """Return random images `[number, B, H, W, C]` uint8 and targets `[number, B, classes]`."""
    draw = np.random.default_rng(seed)
    shape = (number, case.batch, *case.image_shape)
    images = draw.integers(0, 256, shape, np.uint8)
    classes = outline(case.model, case.image_shape)[0].shape[-1]
    labels = draw.integers(0, classes, shape[:2])
    return jnp.asarray(images), jax.nn.one_hot(labels, classes, dtype=jnp.float32)


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


def compile_mode(
    case: Case, mode: str, *, stock: bool
) -> tuple[Program, TrainState, tuple[Any, ...]]:
    """Compile a case's training step or forward pass.

    Returns:
        The program, and the state and the inputs that it takes: a batch and a key, or images.
    """
    model = case.model
    state = initial_state(case)
    images, targets = (each[0] for each in batches(case, 1))
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    if mode == "train":
        function, inputs = train_step_of(case), ((images, targets), jax.random.key(0))
    else:
        function, inputs = forward_of(model), (images,)
    program = compile_program(function, (state, *inputs), stock=stock, donate=mode == "train")
    return program, state, inputs


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
