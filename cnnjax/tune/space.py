"""What a search draws from: a domain for each scalar of `Hyper` that it varies."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np

from cnnjax.errors import BadArgument, unknown
from cnnjax.train import Hyper

__all__ = ["Choice", "Domain", "LogUniform", "Space", "Uniform", "check_space"]


class Domain(Protocol):
    """The values that a scalar may have, as points of the unit interval."""

    def at(self, share: float) -> float:
        """Return the value at `share`, in [0, 1], of the way through the domain."""

    def grid(self, points: int) -> tuple[float, ...]:
        """Return the shares of values that cover the domain, rising."""


Space: TypeAlias = Mapping[str, Domain]
"""From names of scalars of `Hyper` to what they are drawn from."""


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Every number between two ends is equally likely.

    Attributes:
        low: at least 0.
        high: above it.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_ends(self.low, self.high, above_zero=False)

    def at(self, share: float) -> float:
        """Return the value at `share`, in [0, 1], of the way."""
        return self.low + share * (self.high - self.low)

    def grid(self, points: int) -> tuple[float, ...]:
        """Return so many shares at equal distances, both ends among them; of one the middle."""
        return _even(points)


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """Every ratio is equally likely: as many values between 0.01 and 0.1 as between 0.1 and 1.

    Attributes:
        low: above 0.
        high: above it.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _check_ends(self.low, self.high, above_zero=True)

    def at(self, share: float) -> float:
        """Return the value at `share`, in [0, 1], of the way."""
        return math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))

    def grid(self, points: int) -> tuple[float, ...]:
        """Return so many shares at equal distances, both ends among them; of one the middle."""
        return _even(points)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of several values.

    Attributes:
        values: two or more different numbers from 0.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        given = self.values
        object.__setattr__(self, "values", tuple(given) if isinstance(given, list) else given)
        several = isinstance(self.values, tuple) and len(set(self.values)) == len(self.values) > 1
        if not several or not all(map(_is_number, self.values)):
            raise BadArgument(
                f"values: received {given!r}, allowed: two or more different numbers from 0"
            )

    def at(self, share: float) -> float:
        """Return the value at `share`, in [0, 1], of the way."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def grid(self, points: int) -> tuple[float, ...]:
        """Return the share of each value, however many points are asked for."""
        return tuple((place + 0.5) / len(self.values) for place in range(len(self.values)))


def check_space(space: Any, hyper: Hyper) -> dict[str, Domain]:
    """Return a space as a dictionary in the order of its names.

    Raises:
        BadArgument: unless it varies one scalar or more, all of them of `hyper`'s class, over
            values that these may have.
    """
    if not isinstance(space, Mapping) or not space:
        raise BadArgument(f"space: received {space!r}, allowed: a mapping from names of scalars")
    names = [field.name for field in dataclasses.fields(hyper)]
    for name, domain in space.items():
        if name not in names:
            raise unknown("space", name, names)
        if not callable(getattr(domain, "at", None)) or not callable(getattr(domain, "grid", None)):
            raise BadArgument(
                f"space: {name} is {domain!r}, allowed: Uniform, LogUniform, Choice, or what has "
                "their methods"
            )
        for share in (0.0, 1.0, *domain.grid(2)):
            dataclasses.replace(hyper, **{name: domain.at(share)})  # raises where out of range
    return dict(sorted(space.items()))


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and math.isfinite(value) and value >= 0


def _check_ends(low: Any, high: Any, *, above_zero: bool) -> None:
    for name, value in (("low", low), ("high", high)):
        if not _is_number(value) or (above_zero and value == 0):
            least = "above 0" if above_zero else "from 0"
            raise BadArgument(f"{name}: received {value!r}, allowed: finite numbers {least}")
    if low >= high:
        raise BadArgument(f"high: received {high!r}, allowed: numbers above low, {low!r}")


def _even(points: int) -> tuple[float, ...]:
    return (0.5,) if points == 1 else tuple(np.linspace(0, 1, points).tolist())
