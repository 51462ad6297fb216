"""`TrainState`, everything a run carries from one step to the next, and how it begins."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.augment import normalise
from cnnjax.train.keys import named_key
from cnnjax.train.optimisers import optimiser
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.typing import Array, Key, Variables

__all__ = [
    "TrainState",
    "create_state",
    "images_to_start_from",
    "optimiser_of",
    "start_state",
    "variables_of",
]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """A training run between two steps; every leaf is an array.

    Attributes:
        step: scalar int32, how many steps have been taken.
        params: the model's parameters.
        batch_stats: the running statistics of its norms; `{}` without any.
        opt_state: of the recipe's optimiser.
        average: moving averages of params and batch_stats; `{}` where the recipe has none.
        hyper: the scalars of the run.
        mean: `[C]` float32, what normalisation subtracts from images / 255.
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

        The moving averages where the recipe keeps them; no `"batch_stats"` where there are none.
        """
        return self.average or variables_of(self.params, self.batch_stats)


def variables_of(params: Any, batch_stats: Any) -> dict[str, Any]:
    """Return the two collections as a model's variables, without an empty one."""
    return {"params": params} | ({"batch_stats": batch_stats} if batch_stats else {})


def create_state(
    model: Any, recipe: Recipe, images: Array, hyper: Hyper, mean: Array, std: Array, key: Key
) -> TrainState:
    """Return the state before the first step, with weights drawn from the key.

    A model may take part of its weights from images: if it has a method
    `start_from(variables, images) -> variables`, that is given the drawn weights and the images,
    normalised. `images_to_start_from` chooses them.

    Args:
        model: a Linen module.
        recipe: of the run.
        images: `[B, H, W, C]` uint8 of the training set; of other models only the shape matters.
        hyper: scalars float32.
        mean: `[C]` float32.
        std: `[C]` float32.
        key: of the run.
    """
    blank = jnp.zeros((1, *images.shape[1:]), jnp.float32)
    variables = model.init(named_key(key, "init"), blank, train=False)
    if hasattr(model, "start_from"):
        variables = model.start_from(variables, normalise(images, mean, std))
    return start_state(variables, recipe, hyper, mean, std)


def images_to_start_from(model: Any, images: np.ndarray) -> np.ndarray:
    """Return what `create_state` is to see of a training set's images `[N, H, W, C]`.

    At most 5,000 at equal distances, since a folder's images lie in the order of their classes; one
    for a model without `start_from`.
    """
    return images[:: -(-len(images) // 5000)] if hasattr(model, "start_from") else images[:1]


def start_state(
    variables: Variables, recipe: Recipe, hyper: Hyper, mean: Array, std: Array
) -> TrainState:
    """Return the state before the first step, with these weights; arguments as `create_state`."""
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    transform = optimiser_of(recipe, hyper)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=transform.init(params),
        average=variables_of(params, batch_stats) if recipe.ema_decay else {},
        hyper=hyper,
        mean=mean,
        std=std,
    )


def optimiser_of(recipe: Recipe, hyper: Hyper) -> Any:
    """Return the recipe's optimiser with these scalars, without its learning rate."""
    return optimiser(
        recipe.optimiser,
        hyper.momentum,
        hyper.weight_decay,
        decay_all=recipe.decay_all,
        clip_norm=recipe.clip_norm,
    )
