"""`TrainState`, everything a run carries from one step to the next, and how it begins."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.train.hyper import Hyper
from cnnjax.train.keys import named_key
from cnnjax.train.recipe import Recipe
from cnnjax.typing import Array, Key, Variables

__all__ = ["TrainState", "create_state", "initial_variables", "start_state", "variables_of"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """A training run between two steps; every leaf is an array.

    Attributes:
        step: scalar int32, how many steps have been taken.
        params: the model's parameters.
        batch_stats: the running statistics of its norms; `{}` without any.
        opt_state: of the recipe's optimizer.
        average: of params and batch_stats; `{}` where the recipe has none.
        hyper: the scalars of the run.
        mean: `[C]` float32, what normalization subtracts from images / 255.
        std: `[C]` float32, what it divides by.
    """

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any
    hyper: Hyper
    mean: Array
    std: Array

    @property
    def variables(self) -> Variables:
        """The trained weights: what is evaluated, `{"params": ..., "batch_stats": ...}`.

        The averages where the recipe keeps them; no `"batch_stats"` where there are none.
        """
        return self.average or variables_of(self.params, self.batch_stats)


def variables_of(params: Any, batch_stats: Any) -> dict[str, Any]:
    """Return the two collections as a model's variables, without an empty one."""
    return {"params": params} | ({"batch_stats": batch_stats} if batch_stats else {})


def initial_variables(model: Any, image_shape: Sequence[int], key: Key) -> Variables:
    """Return the weights that a run with this key draws.

    Args:
        model: a Linen module.
        image_shape: `(H, W, C)`.
        key: of the run.
    """
    blank = jnp.zeros((1, *image_shape), jnp.float32)
    return model.init(named_key(key, "init"), blank, train=False)


def create_state(
    model: Any,
    recipe: Recipe,
    image_shape: Sequence[int],
    hyper: Hyper,
    mean: Array,
    std: Array,
    key: Key,
) -> TrainState:
    """Return the state before the first step, with weights drawn from the key.

    Args:
        model: a Linen module.
        recipe: of the run.
        image_shape: `(H, W, C)`.
        hyper: scalars float32.
        mean: `[C]` float32.
        std: `[C]` float32.
        key: of the run.
    """
    return start_state(initial_variables(model, image_shape, key), recipe, hyper, mean, std)


def start_state(
    variables: Variables, recipe: Recipe, hyper: Hyper, mean: Array, std: Array
) -> TrainState:
    """Return the state before the first step, with these weights; arguments as `create_state`."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    transform = recipe.optimizer(jnp.asarray(hyper.learning_rate, jnp.float32), hyper)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=transform.init(params),
        average=variables_of(params, batch_stats) if recipe.average else {},
        hyper=hyper,
        mean=mean,
        std=std,
    )
