"""`Plan`: the sizes of a run, and what it compiles for them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cnnjax.data import Source
from cnnjax.errors import BadArgument
from cnnjax.train.arguments import fitting_variables
from cnnjax.train.feed import Feed, Resident
from cnnjax.train.hyper import Hyper
from cnnjax.train.placement import replicated
from cnnjax.train.programs import (
    compiled,
    create_program,
    order_program,
    resident_chunk_program,
    start_program,
    streamed_chunk_program,
)
from cnnjax.train.recipe import Recipe
from cnnjax.train.state import TrainState
from cnnjax.typing import Key, Variables

__all__ = ["Plan", "Programs", "begun", "plan_of", "programs_of"]

_MOST_STEPS = 2**31 - 1  # they are counted in an int32

# Of a chunk: their metrics are kept on the device, where those of 1,000 classes take 4 MB.
_LONGEST = 1024


@dataclasses.dataclass(frozen=True)
class Plan:
    """The sizes of a run, or of several at once.

    Attributes:
        recipe: of each.
        batch_size: images a step of one run.
        steps_per_epoch: of one run.
        image_shape: `(H, W, C)`.
        classes: how many there are.
        runs: how many at once, their arrays with a leading axis; None for one, without it.
        mesh: where they run.
    """

    recipe: Recipe
    batch_size: int
    steps_per_epoch: int
    image_shape: tuple[int, ...]
    classes: int
    runs: int | None
    mesh: Mesh

    @property
    def steps(self) -> int:
        """Of one whole run."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def images_per_step(self) -> int:
        """Of all runs together."""
        return self.batch_size * (self.runs or 1)

    @property
    def many(self) -> bool:
        """Whether arrays have an axis of runs."""
        return self.runs is not None


def plan_of(recipe: Recipe, source: Source, runs: int | None, mesh: Mesh) -> Plan:
    """Return the plan of training on a source.

    Raises:
        BadArgument: for a batch that the mesh's devices cannot share, and too many steps.
    """
    size = min(recipe.batch_size, len(source))
    if size % mesh.size:
        raise BadArgument(
            f"batch_size: {size} cannot be shared out over {mesh.size} devices, allowed: its "
            "multiples"
        )
    shape = tuple(source.image_shape)
    plan = Plan(recipe, size, len(source) // size, shape, len(source.class_names), runs, mesh)
    if plan.steps > _MOST_STEPS:
        raise BadArgument(f"epochs: {plan.steps} steps; allowed: up to {_MOST_STEPS}")
    return plan


def begun(
    model: Any,
    plan: Plan,
    hyper: Hyper,
    key: Key,
    mean: np.ndarray,
    std: np.ndarray,
    variables: Variables | None,
) -> tuple[TrainState, float]:
    """Return the state before the first step and the seconds of compiling what made it.

    Args:
        model: a Linen module.
        plan: of the run.
        hyper: its scalars, with several runs `[runs]` each.
        key: its key, with several runs `[runs]`.
        mean: `[C]` float32.
        std: `[C]` float32.
        variables: to start from; None draws them.
    """
    # Copies, because they go into the state, which the step donates.
    scalars = jax.tree.map(lambda x: jnp.array(x, jnp.float32, copy=True), hyper)
    arguments: tuple[Any, ...] = (
        scalars,
        jnp.array(mean, copy=True),
        jnp.array(std, copy=True),
        key,
    )
    program = create_program(model, plan.recipe, plan.image_shape, plan.many)
    if variables is not None:
        alone = create_program(model, plan.recipe, plan.image_shape, False)
        first = jax.tree.map(lambda x: x[0], (scalars, key)) if plan.many else (scalars, key)
        shapes = jax.eval_shape(alone, first[0], *arguments[1:3], first[1])
        given = fitting_variables(variables, shapes)
        program, arguments = start_program(plan.recipe, plan.many), (given, *arguments[:3])
    create, seconds = compiled(program, *arguments, quick=jax.default_backend() == "cpu")
    return jax.device_put(create(*arguments), replicated(plan.mesh)), seconds


@dataclasses.dataclass(frozen=True)
class Programs:
    """What a run calls over and over.

    Attributes:
        plan: of the run.
        feed: its batches.
        key: of the run, with several runs `[runs]`.
        indices: `[N]`, of all images.
        order: `(key, epoch, indices) -> [N]`, compiled.
        chunk: `(state, *batch, key, count) -> (state, metrics)`, compiled: that many steps.
        longest: how many a chunk can take.
    """

    plan: Plan
    feed: Feed
    key: Key
    indices: Any
    order: Any
    chunk: Any
    longest: int


def programs_of(
    model: Any, plan: Plan, feed: Feed, number: int, key: Key, state: TrainState
) -> tuple[Programs, float]:
    """Return the programs of a run over `number` images and the seconds of compiling them."""
    whole = replicated(plan.mesh)
    key, indices = jax.device_put((key, np.arange(number)), whole)
    order, seconds = compiled(order_program(plan.many, plan.mesh), key, np.int32(0), indices)
    shared = (plan.classes, plan.steps)
    if isinstance(feed, Resident):
        longest = min(plan.steps_per_epoch, _LONGEST)
        program = resident_chunk_program(
            model, plan.recipe, plan.batch_size, *shared, longest, plan.many, plan.mesh
        )
        batch: tuple[Any, ...] = (feed.images, feed.labels, order(key, np.int32(0), indices))
    else:
        longest = 1
        program = streamed_chunk_program(model, plan.recipe, *shared, longest, plan.many, plan.mesh)
        size = (longest, *((plan.runs,) if plan.many else ()), plan.batch_size)
        batch = (
            jax.ShapeDtypeStruct((*size, *plan.image_shape), jnp.uint8),
            jax.ShapeDtypeStruct(size, jnp.int32),
            jax.ShapeDtypeStruct(size, jnp.int32),
        )
    chunk, more = compiled(program, state, *batch, key, np.int32(1))
    return Programs(plan, feed, key, indices, order, chunk, longest), seconds + more
