"""Whether the arguments of a training run fit each other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.dataset import Dataset, statistics
from cnnjax.errors import BadArgument
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.train.state import TrainState, variables_of
from cnnjax.typing import Variables

__all__ = ["check", "check_variables", "normalisation_of"]


def check(
    model: Any,
    recipe: Recipe,
    hypers: list[Hyper],
    train_set: Dataset,
    test_set: Dataset | None,
    validation: Dataset | None,
) -> None:
    """Raise `BadArgument` unless model, settings and datasets fit each other."""
    for name, other in (("test_set", test_set), ("validation", validation)):
        if other is None:
            continue
        if other.images.shape[1:] != train_set.images.shape[1:]:
            raise BadArgument(
                f"{name}: images are {list(other.images.shape[1:])}, "
                f"the training set's {list(train_set.images.shape[1:])}"
            )
        if other.class_names != train_set.class_names:
            raise BadArgument(f"{name}: its classes are not the training set's")
    classes, outputs = len(train_set.class_names), getattr(model, "num_classes", None)
    if outputs is not None and outputs < classes:
        raise BadArgument(
            f"model: num_classes is {outputs}, {train_set.name!r} has {classes} classes"
        )
    if not recipe.head and any(float(hyper.backbone_rate) != 1 for hyper in hypers):
        raise BadArgument("backbone_rate: must be 1 where the recipe's head names no submodules")
    if recipe.loss != "softmax" and any(float(hyper.label_smoothing) for hyper in hypers):
        raise BadArgument(f"label_smoothing: must be 0 with loss={recipe.loss!r}")


def normalisation_of(
    train_set: Dataset, given: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation `[C]` float32: the given ones, or the training set's."""
    if given is None:
        return statistics(train_set)
    mean, std = (np.asarray(values, np.float32) for values in given)
    channels = train_set.images.shape[-1:]
    if mean.shape != channels or std.shape != channels or not (std > 0).all():
        raise BadArgument(
            f"normalisation: received {mean.tolist()} and {std.tolist()}, allowed: mean and "
            f"positive deviation of {channels[0]} channels"
        )
    return mean, std


def check_variables(variables: Variables, state: TrainState) -> None:
    """Raise `BadArgument` unless variables have the names and shapes of a state's."""
    expected = variables_of(state.params, state.batch_stats)
    shapes = [
        {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}
        for leaves in map(jax.tree.leaves_with_path, (variables, expected))
    ]
    if shapes[0] != shapes[1]:
        differing = sorted(set(shapes[0].items()) ^ set(shapes[1].items()))[:2]
        raise BadArgument(f"variables: not those of the model; they differ in {differing}")
