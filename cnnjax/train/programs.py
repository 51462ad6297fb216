"""The functions that a run compiles, each once for all runs of the same model, recipe and shapes.

A program is a jitted function, made once per (model, recipe, ...): the same object comes back for
equal arguments. `compiled` compiles it ahead of time for the shapes of its arguments, so that
compile time is measured apart and a second run with another key or other scalars finds it done.
Several runs at once are the program of one, mapped over a leading axis.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from cnnjax.ops.switch import is_stock
from cnnjax.train.hyper import Hyper
from cnnjax.train.keys import named_key
from cnnjax.train.placement import batch_sharding, replicated
from cnnjax.train.recipe import Recipe
from cnnjax.train.state import TrainState, create_state, initial_variables, start_state
from cnnjax.train.step import forward, make_train_step, score
from cnnjax.typing import Array, Key, Labels, Logits

__all__ = [
    "compiled",
    "create_program",
    "forward_program",
    "initial_program",
    "one_hot",
    "order_program",
    "resident_chunk_program",
    "score_program",
    "start_program",
    "streamed_chunk_program",
]

_REMEMBERED = 64  # programs; an executable of a large network holds a few MB


def compiled(
    program: Any, *arguments: Any, quick: bool = False
) -> tuple[Callable[..., Any], float]:
    """Return a program compiled for the shapes of these arguments, and the seconds that took.

    `quick` asks for less optimization, for what runs once: drawing the weights of a ResNet-18
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
def initial_program(model: Any, image_shape: tuple[int, ...]) -> Any:
    """Return `key -> variables` as a run with that key draws them."""
    return jax.jit(functools.partial(initial_variables, model, image_shape))


@functools.lru_cache(maxsize=_REMEMBERED)
def create_program(model: Any, recipe: Recipe, image_shape: tuple[int, ...], many: bool) -> Any:
    """Return `(hyper, mean, std, key) -> TrainState`.

    With `many`, hyper, key and state have a leading run axis.
    """
    create = functools.partial(create_state, model, recipe, image_shape)
    return jax.jit(jax.vmap(create, in_axes=(0, None, None, 0)) if many else create)


@functools.lru_cache(maxsize=_REMEMBERED)
def start_program(recipe: Recipe, many: bool) -> Any:
    """Return `(variables, hyper, mean, std) -> TrainState` with copies of what it is given.

    With `many`, hyper and state have a leading run axis.
    """

    def start(variables: Any, hyper: Hyper, mean: Array, std: Array) -> TrainState:
        # Copies: the step donates its state, and jit hands an input through as it is.
        copies = jax.tree.map(jnp.copy, (variables, hyper, mean, std))
        return start_state(copies[0], recipe, *copies[1:])

    return jax.jit(jax.vmap(start, in_axes=(None, 0, None, None)) if many else start)


@functools.lru_cache(maxsize=_REMEMBERED)
def order_program(many: bool, mesh: Mesh) -> Any:
    """Return `(key, epoch, indices [N]) -> [N]`: the order of the images in one epoch."""

    def order(key: Key, epoch: Array, indices: Array) -> Array:
        return jax.random.permutation(jax.random.fold_in(named_key(key, "order"), epoch), indices)

    program = jax.vmap(order, in_axes=(0, None, None)) if many else order
    return jax.jit(program, in_shardings=replicated(mesh), out_shardings=replicated(mesh))


@functools.lru_cache(maxsize=_REMEMBERED)
def resident_chunk_program(
    model: Any,
    recipe: Recipe,
    batch_size: int,
    classes: int,
    steps: int,
    length: int,
    many: bool,
    mesh: Mesh,
) -> Any:
    """Return `(state, images [N, ...], labels [N], order [N], key, count) -> (state, metrics)`.

    It takes `count` steps, at most `length`, without a word to the host; each gathers its batch
    itself from the whole source on the device. Arguments and result else as of
    `streamed_chunk_program`.
    """
    step = make_train_step(model, recipe, steps)

    def one(
        state: TrainState, images: Array, labels: Labels, order: Array, key: Key
    ) -> tuple[TrainState, dict[str, Array]]:
        position = state.step % (len(order) // batch_size) * batch_size
        chosen = jax.lax.dynamic_slice_in_dim(order, position, batch_size)
        gathered = (
            jnp.take(images, chosen, axis=0, mode="clip"),
            jnp.take(labels, chosen, axis=0, mode="clip"),
            chosen,
        )
        if mesh.size > 1:
            gathered = jax.lax.with_sharding_constraint(gathered, batch_sharding(mesh))
        return step(state, (gathered[0], one_hot(gathered[1], classes), gathered[2]), key)

    mapped = jax.jit(jax.vmap(one, in_axes=(0, None, None, 0, 0)) if many else one, inline=True)

    def program(
        state: TrainState, images: Array, labels: Labels, order: Array, key: Key, count: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        def take(state: TrainState, _: Array) -> tuple[TrainState, dict[str, Array]]:
            return mapped(state, images, labels, order, key)

        return _repeated(take, state, length, count)

    whole = replicated(mesh)
    return jax.jit(program, donate_argnums=0, in_shardings=whole, out_shardings=whole)


@functools.lru_cache(maxsize=_REMEMBERED)
def streamed_chunk_program(
    model: Any, recipe: Recipe, classes: int, steps: int, length: int, many: bool, mesh: Mesh
) -> Any:
    """Return `(state, images [L, B, ...], labels, places [L, B], key, count) -> (state, metrics)`.

    It takes `count` steps, at most `length` (`L`), each with the next batch. The state is donated.
    The metrics of step i are at place i of theirs, `[L, ...]`; what lies behind means nothing.
    With `many`, state and key, batches behind their first axis and metrics likewise have an axis
    of runs.

    The count is an argument and not a part of the program, so that the chunks into which an epoch
    is cut make no difference, to the bit: it is always this executable that takes its steps.
    """
    step = make_train_step(model, recipe, steps)

    def one(
        state: TrainState, images: Array, labels: Labels, places: Array, key: Key
    ) -> tuple[TrainState, dict[str, Array]]:
        return step(state, (images, one_hot(labels, classes), places), key)

    mapped = jax.jit(jax.vmap(one) if many else one, inline=True)

    def program(
        state: TrainState, images: Array, labels: Labels, places: Array, key: Key, count: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        def take(state: TrainState, index: Array) -> tuple[TrainState, dict[str, Array]]:
            return mapped(state, images[index], labels[index], places[index], key)

        return _repeated(take, state, length, count)

    whole, split = replicated(mesh), batch_sharding(mesh, axis=1 + many)
    return jax.jit(
        program,
        donate_argnums=0,
        in_shardings=(whole, split, split, split, whole, whole),
        out_shardings=whole,
    )


def _repeated(
    take: Callable[[TrainState, Array], tuple[TrainState, dict[str, Array]]],
    state: TrainState,
    length: int,
    count: Array,
) -> tuple[TrainState, dict[str, Array]]:
    """Return the state after `count` steps, and their metrics in arrays of `length` places."""
    shapes = jax.eval_shape(take, state, count)[1]
    places = {name: jnp.zeros((length, *s.shape), s.dtype) for name, s in shapes.items()}

    def body(
        carried: tuple[Array, TrainState, dict[str, Array]],
    ) -> tuple[Array, TrainState, dict[str, Array]]:
        index, state, filled = carried
        state, metrics = take(state, index)
        filled = {
            name: jax.lax.dynamic_update_index_in_dim(values, metrics[name], index, 0)
            for name, values in filled.items()
        }
        return index + 1, state, filled

    first = (jnp.zeros_like(count), state, places)
    return jax.lax.while_loop(lambda carried: carried[0] < count, body, first)[1:]


def one_hot(labels: Labels, classes: int) -> Array:
    """Return the targets `[B, K]` float32 of labels `[B]`."""
    return jax.nn.one_hot(labels, classes, dtype=jnp.float32)


@functools.lru_cache(maxsize=_REMEMBERED)
def forward_program(model: Any, many: bool, mesh: Mesh) -> Any:
    """Return `(variables, images [B, ...] uint8, mean, std) -> logits [B, K]`.

    With `many`, variables and logits have a leading run axis.
    """
    program = functools.partial(forward, model)
    if many:
        program = jax.vmap(program, in_axes=(0, None, None, None))
    whole, split = replicated(mesh), batch_sharding(mesh)
    return jax.jit(program, in_shardings=(whole, split, whole, whole), out_shardings=whole)


@functools.lru_cache(maxsize=_REMEMBERED)
def score_program(recipe: Recipe, classes: int, many: bool, mesh: Mesh) -> Any:
    """Return `(logits [B, K], labels [B], counted [B]) -> ` what `score` returns."""

    def program(logits: Logits, labels: Labels, counted: Array) -> dict[str, Array]:
        return score(recipe, logits, one_hot(labels, classes), counted)

    mapped = jax.vmap(program, in_axes=(0, None, None)) if many else program
    return jax.jit(mapped, in_shardings=replicated(mesh))
