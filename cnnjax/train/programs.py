"""The functions that a run compiles, each once for all runs of the same model, recipe and shapes.

A program is a jitted function, made once per (model, recipe, ...): the same object comes back for
equal arguments. `compiled` compiles it ahead of time for the shapes of its arguments, so that
compile time is measured apart and a second run with another key or other scalars finds it done.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from cnnjax.ops.switch import is_stock
from cnnjax.train.keys import named_key
from cnnjax.train.recipe import Recipe
from cnnjax.train.sharding import batch_sharding, replicated
from cnnjax.train.state import TrainState, create_state, start_state
from cnnjax.train.step import forward, make_train_step, metrics_of
from cnnjax.typing import Array, Key

__all__ = [
    "compiled",
    "create_program",
    "forward_program",
    "metrics_program",
    "order_program",
    "start_program",
    "step_program",
]

_REMEMBERED = 64  # programs; an executable of a large network holds a few MB


def compiled(
    program: Any, *arguments: Any, quick: bool = False
) -> tuple[Callable[..., Any], float]:
    """Return a program compiled for the shapes of these arguments, and the seconds that took.

    `quick` asks for less optimisation, for what runs once: drawing the weights of a ResNet-18
    compiles in a third of the time on a CPU (3.2 instead of 8.9 seconds of its time).
    The seconds are those of tracing, lowering and compiling; almost 0 for what is remembered.
    """
    start = time.perf_counter()
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    config: Any = jax.config
    settings = (is_stock(), config.jax_default_device, config.jax_default_matmul_precision)
    hurried = (("xla_backend_optimization_level", 1),) if quick else ()
    executable = _compile(program, tree, shapes, hurried, settings)
    return executable, time.perf_counter() - start


@functools.lru_cache(maxsize=_REMEMBERED)
def _compile(
    program: Any, tree: Any, shapes: tuple[Any, ...], options: tuple[Any, ...], settings: Any
) -> Any:
    del settings  # part of the key only: what else the compiled program depends on
    return program.lower(*jax.tree.unflatten(tree, shapes)).compile(compiler_options=dict(options))


@functools.lru_cache(maxsize=_REMEMBERED)
def create_program(model: Any, recipe: Recipe, many: bool) -> Any:
    """Return `(images, hyper, mean, std, key) -> TrainState`.

    With `many`, hyper, key and state have a leading run axis.
    """
    create = functools.partial(create_state, model, recipe)
    return jax.jit(jax.vmap(create, in_axes=(None, 0, None, None, 0)) if many else create)


@functools.lru_cache(maxsize=_REMEMBERED)
def start_program(recipe: Recipe) -> Any:
    """Return `(variables, hyper, mean, std) -> TrainState` with copies of what it is given."""

    def start(variables: Any, hyper: Any, mean: Array, std: Array) -> TrainState:
        # Copies: the step donates its state, and jit hands an input through as it is.
        copies = jax.tree.map(jnp.copy, (variables, hyper, mean, std))
        return start_state(copies[0], recipe, *copies[1:])

    return jax.jit(start)


@functools.lru_cache(maxsize=_REMEMBERED)
def order_program(many: bool, mesh: Mesh | None) -> Any:
    """Return `(key, epoch, indices [N]) -> [N]`: the order of the images in one epoch."""

    def order(key: Key, epoch: Array, indices: Array) -> Array:
        return jax.random.permutation(jax.random.fold_in(named_key(key, "order"), epoch), indices)

    if many:
        return jax.jit(jax.vmap(order, in_axes=(0, None, None)))
    if mesh is None:
        return jax.jit(order)
    whole = replicated(mesh)
    return jax.jit(order, in_shardings=whole, out_shardings=whole)


@functools.lru_cache(maxsize=_REMEMBERED)
def step_program(
    model: Any,
    recipe: Recipe,
    batch_size: int,
    steps: int,
    frozen: bool,
    many: bool,
    mesh: Mesh | None,
) -> Any:
    """Return `(state, images [N, ...], labels [N], order [N], key) -> (state, metrics)`.

    The step gathers its batch itself from the whole dataset on the device. The state is donated.
    """
    step = make_train_step(model, recipe, steps, frozen=frozen)

    def program(
        state: TrainState, images: Array, labels: Array, order: Array, key: Key
    ) -> tuple[TrainState, dict[str, Array]]:
        position = state.step % (len(order) // batch_size) * batch_size
        chosen = jax.lax.dynamic_slice_in_dim(order, position, batch_size)
        batch = (
            jnp.take(images, chosen, axis=0, mode="clip"),
            jnp.take(labels, chosen, axis=0, mode="clip"),
        )
        if mesh is not None:
            batch = jax.lax.with_sharding_constraint(batch, batch_sharding(mesh))
        return step(state, batch, key)

    if many:
        program = jax.vmap(program, in_axes=(0, None, None, 0, 0))
    if mesh is None:
        return jax.jit(program, donate_argnums=0)
    whole = replicated(mesh)
    return jax.jit(program, donate_argnums=0, in_shardings=whole, out_shardings=whole)


@functools.lru_cache(maxsize=_REMEMBERED)
def forward_program(model: Any, many: bool, mesh: Mesh | None) -> Any:
    """Return `(variables, images [B, ...] uint8, mean, std) -> logits [B, K]`.

    With `many`, variables and logits have a leading run axis.
    """
    program = functools.partial(forward, model)
    if many:
        return jax.jit(jax.vmap(program, in_axes=(0, None, None, None)))
    if mesh is None:
        return jax.jit(program)
    whole, split = replicated(mesh), batch_sharding(mesh)
    return jax.jit(program, in_shardings=(whole, split, whole, whole), out_shardings=whole)


@functools.lru_cache(maxsize=_REMEMBERED)
def metrics_program(loss: str, many: bool, mesh: Mesh | None) -> Any:
    """Return `(logits, labels, counted) -> {"loss", "accuracy"}`, sums over the counted."""
    program = functools.partial(metrics_of, loss=loss)
    if many:
        return jax.jit(jax.vmap(program, in_axes=(0, None, None)))
    return jax.jit(program) if mesh is None else jax.jit(program, in_shardings=replicated(mesh))
