"""What a run is: `Recipe`, its static half, and `Hyper`, the scalars that may be traced."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from cnnjax.errors import BadArgument, unknown
from cnnjax.train.losses import LOSSES
from cnnjax.train.optimisers import OPTIMISERS, SCHEDULES
from cnnjax.typing import Array

__all__ = ["RECIPES", "Hyper", "NamedRecipe", "Recipe"]

# Of epochs, images and pixels: beyond it numbers are mistyped, and the arrays fit no memory.
_MOST = 1_000_000

_LARGEST = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The static half of a training run: hashable, written as JSON, one compilation for each.

    Attributes:
        epochs: passes over the training set, in 1..1,000,000.
        batch_size: images a step, in 1..1,000,000; a smaller training set makes a smaller batch.
            The last images of an epoch's order that do not fill a batch are left out of that epoch.
        loss: a key of `LOSSES`.
        optimiser: a key of `OPTIMISERS`.
        schedule: a key of `SCHEDULES`.
        warmup: the share of the run in which the learning rate rises to its peak, in [0, 1). A
            share and not epochs, so that the same recipe can run for any number of epochs.
        decay_all: weight decay also for biases and the parameters of norms.
        clip_norm: the largest global norm of a gradient, above 0; None does not clip.
        crop_padding: pixels of padding around a random crop of the same size, in 0..1,000,000 and
            less than the images have.
        flip: mirror half of the images left to right. Digits and letters must not be.
        cutout: side in pixels of a square put to the mean colour, in 0..1,000,000.
        ema_decay: evaluate an exponential moving average of the weights with this decay per
            step, in [0, 1); 0 evaluates the weights themselves.
        head: names of the model's submodules that learn at the full rate, such as
            `("classifier",)`; all others learn at `Hyper.backbone_rate` times it. Where that is 0,
            nothing of them moves, and the whole network runs as in evaluation: norms by their
            running statistics, which stay, and nothing is dropped. `()`: all at the full rate.

    Raises:
        BadArgument: for a value outside these ranges.
    """

    epochs: int = 10
    batch_size: int = 128
    loss: str = "softmax"
    optimiser: str = "sgd"
    schedule: str = "onecycle"
    warmup: float = 0.2
    decay_all: bool = False
    clip_norm: float | None = None
    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    ema_decay: float = 0.0
    head: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("crop_padding", 0), ("cutout", 0)):
            value = getattr(self, name)
            integer = isinstance(value, int) and not isinstance(value, bool)
            if not (integer and least <= value <= _MOST):
                raise BadArgument(
                    f"{name}: received {value!r}, allowed: integers in {least}..{_MOST}"
                )
        for name, table in (("loss", LOSSES), ("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in table:
                raise unknown(name, value, table)
        for name in ("warmup", "ema_decay"):
            if not _in_range(getattr(self, name), below=1):
                raise BadArgument(
                    f"{name}: received {getattr(self, name)!r}, allowed: numbers in [0, 1)"
                )
        for name in ("decay_all", "flip"):
            if not isinstance(getattr(self, name), bool):
                raise BadArgument(f"{name}: received {getattr(self, name)!r}, allowed: True, False")
        clip = self.clip_norm
        if clip is not None and not (_in_range(clip, below=math.inf) and np.float32(clip) > 0):
            raise BadArgument(f"clip_norm: received {clip!r}, allowed: None, numbers above 0")
        if isinstance(self.head, list):  # as JSON has it
            object.__setattr__(self, "head", tuple(self.head))
        if not (isinstance(self.head, tuple) and all(isinstance(n, str) for n in self.head)):
            raise BadArgument(f"head: received {self.head!r}, allowed: a tuple of names")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that json can write."""
        return {**dataclasses.asdict(self), "head": list(self.head)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `to_dict` gave; BadArgument for a name that is no field."""
        return cls(**_known_fields(cls, fields))


@dataclasses.dataclass(frozen=True)
class Hyper:
    """The scalars of a training run, a pytree: they may be traced, and `sweep` maps over them.

    They are float32 in a run, and have to be in range as such.

    Attributes:
        learning_rate: the peak that the schedule multiplies, at least 0.
        momentum: in [0, 1); beta 1 of the Adam family and of Lion.
        weight_decay: at least 0.
        label_smoothing: in [0, 1); 0 with the hinge losses.
        backbone_rate: what the learning rate is multiplied by outside of `Recipe.head`, at least
            0; 1 where the recipe names no head. 0 freezes it whole, see there.

    Raises:
        BadArgument: for a number outside these ranges.
    """

    learning_rate: Array | float = 0.1
    momentum: Array | float = 0.9
    weight_decay: Array | float = 5e-4
    label_smoothing: Array | float = 0.0
    backbone_rate: Array | float = 1.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, jax.Array):  # perhaps traced or stacked: nothing to check
                continue
            below_one = field.name in ("momentum", "label_smoothing")
            if not _in_range(value, below=1 if below_one else math.inf):
                allowed = "numbers in [0, 1)" if below_one else "finite numbers from 0"
                raise BadArgument(f"{field.name}: received {value!r}, allowed: {allowed}")

    def to_dict(self) -> dict[str, float]:
        """Return the scalars as Python floats."""
        return {field.name: float(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Hyper":
        """Return the scalars that `to_dict` gave; BadArgument for a name that is no field."""
        return cls(**_known_fields(cls, fields))


def _children(hyper: Hyper) -> tuple[list[Any], None]:
    names = [field.name for field in dataclasses.fields(Hyper)]
    return [(jax.tree_util.GetAttrKey(name), getattr(hyper, name)) for name in names], None


def _rebuild(_: None, leaves: Iterable[Any]) -> Hyper:
    # Around __init__ and its checks: the leaves of a pytree may be anything, shapes or bools.
    hyper = object.__new__(Hyper)
    for field, leaf in zip(dataclasses.fields(Hyper), leaves, strict=True):
        object.__setattr__(hyper, field.name, leaf)
    return hyper


jax.tree_util.register_pytree_with_keys(Hyper, _children, _rebuild)


def _in_range(value: Any, below: float) -> bool:
    """Return whether a value is a number that is in [0, below) as a float32."""
    number = isinstance(value, int | float | np.integer | np.floating)
    if not number or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        return False
    return bool(np.float32(value) < below)


def _known_fields(cls: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls)]
    for name in fields:
        if name not in names:
            raise unknown(cls.__name__.lower(), name, names)
    return dict(fields)


class NamedRecipe(NamedTuple):
    """A recipe and the scalars that go with it."""

    recipe: Recipe
    hyper: Hyper


RECIPES: dict[str, NamedRecipe] = {
    "default": NamedRecipe(
        Recipe(epochs=8, batch_size=64, crop_padding=2),
        Hyper(learning_rate=0.05, weight_decay=5e-4, label_smoothing=0.1),
    ),
    "mnist": NamedRecipe(
        Recipe(epochs=15, batch_size=128, crop_padding=2),
        Hyper(learning_rate=0.1, weight_decay=5e-4),
    ),
    "cifar10": NamedRecipe(
        Recipe(epochs=30, batch_size=128, crop_padding=4, flip=True, cutout=8),
        Hyper(learning_rate=0.1, weight_decay=5e-4),
    ),
}
"""Recipes by name: `default` for small sets of small images on a CPU, the others for their sets."""
