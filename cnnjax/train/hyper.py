"""`Hyper`: the scalars of a run that may be traced, which a user may extend."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from cnnjax.errors import number, unknown
from cnnjax.typing import Array

__all__ = ["Hyper"]


@dataclasses.dataclass(frozen=True)
class Hyper:
    """The scalars of a training run, a pytree: they may be traced, and `sweep` maps over them.

    They are float32 in a run, and have to be in range as such. A subclass that is a frozen
    dataclass adds scalars of its own, each a finite number from 0, which the values of a recipe
    that are given a `Hyper` can read.

    Attributes:
        learning_rate: the peak that the schedule multiplies, at least 0.
        momentum: in [0, 1); beta 1 of the Adam family and of Lion.
        weight_decay: at least 0.
        label_smoothing: in [0, 1); how far targets are moved to equal shares of all classes.
        backbone_rate: at least 0; for groups of parameters that name it as their rate.

    Raises:
        BadArgument: for a number outside these ranges.
    """

    learning_rate: Array | float = 0.1
    momentum: Array | float = 0.9
    weight_decay: Array | float = 5e-4
    label_smoothing: Array | float = 0.0
    backbone_rate: Array | float = 1.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _register(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, jax.Array):  # perhaps traced or stacked: nothing to check
                continue
            below_one = field.name in ("momentum", "label_smoothing")
            number(field.name, value, below=1 if below_one else math.inf)

    def to_dict(self) -> dict[str, float]:
        """Return the scalars as Python floats."""
        return {field.name: float(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Hyper":
        """Return the scalars that `to_dict` gave; BadArgument for a name that is no field."""
        names = [field.name for field in dataclasses.fields(cls)]
        for name in fields:
            if name not in names:
                raise unknown(cls.__name__.lower(), name, names)
        return cls(**fields)


def _register(cls: type[Hyper]) -> None:
    """Make a class of scalars a pytree; its fields are looked at when it is used."""

    def children(hyper: Hyper) -> tuple[list[Any], None]:
        names = [field.name for field in dataclasses.fields(cls)]
        return [(jax.tree_util.GetAttrKey(name), getattr(hyper, name)) for name in names], None

    def rebuild(_: None, leaves: Iterable[Any]) -> Hyper:
        # Around __init__ and its checks: the leaves of a pytree may be anything, shapes or bools.
        hyper = object.__new__(cls)
        for field, leaf in zip(dataclasses.fields(cls), leaves, strict=True):
            object.__setattr__(hyper, field.name, leaf)
        return hyper

    jax.tree_util.register_pytree_with_keys(cls, children, rebuild)


_register(Hyper)
