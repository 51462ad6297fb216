"""Schedules: `(step, steps) -> factor`, what the peak learning rate is multiplied by at a step.

The factor of those here rises linearly during the first `warmup * steps` steps, the first of which
is not 0, and then falls to just before 0: no step is without effect.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax.numpy as jnp

from cnnjax.errors import BadArgument, number
from cnnjax.typing import Array

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "FromOptax",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Steps",
    "Warmed",
]


class Schedule(Protocol):
    """How the learning rate goes over a run."""

    def __call__(self, step: Array, steps: int) -> Array:
        """Return the factor, a scalar from 0, at `step` (scalar int32, from 0) of so many."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Warmed:
    """What the schedules here share: a linear rise, then a shape of their own.

    Attributes:
        warmup: the share of the run in which the rate rises, in [0, 1). A share and not epochs, so
            that the same recipe can run for any number of epochs.

    Raises:
        BadArgument: for a share outside this range.
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        number("warmup", self.warmup, below=1)

    def __call__(self, step: Array, steps: int) -> Array:
        """Return a scalar float32 in [0, 1] of a step, scalar int32 from 0, of so many."""
        rising = round(self.warmup * steps)
        position = jnp.asarray(step, jnp.float32)
        rise = jnp.minimum(1.0, (position + 1) / max(rising, 1))
        # Over `steps - rising` steps, so the first step after the rise is at the peak.
        progress = jnp.clip((position - rising) / max(steps - rising, 1), 0.0, 1.0)
        return rise * self.shape(progress)

    def shape(self, progress: Array) -> Array | float:
        """Return the factor of the peak, in [0, 1], of the progress since the rise, in [0, 1]."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneCycle(Warmed):
    """Linear up, linear down to 0: a triangle, `1 - progress` after the rise.

    Source: Smith and Topin, "Super-Convergence" (2018).
    """

    warmup: float = 0.2

    def shape(self, progress: Array) -> Array:
        """Return the factor of the peak; arguments as of `Warmed`."""
        return 1 - progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cosine(Warmed):
    """Half a cosine from 1 to 0: `(1 + cos(pi progress)) / 2`.

    Source: Loshchilov and Hutter, "SGDR" (2017).
    """

    def shape(self, progress: Array) -> Array:
        """Return the factor of the peak; arguments as of `Warmed`."""
        return 0.5 * (1 + jnp.cos(jnp.pi * progress))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps(Warmed):
    """Down by a factor at each of several shares of the run after the warm-up.

    Attributes:
        at: shares in [0, 1), rising.
        factor: what the rate is multiplied by at each, in [0, 1).

    Source: He et al., "Deep Residual Learning" (2016), section 4.2: tenfold at 50 % and 75 %.
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.at, tuple):
            raise BadArgument(f"at: received {self.at!r}, allowed: a tuple of shares in [0, 1)")
        for name, value in [*(("at", share) for share in self.at), ("factor", self.factor)]:
            number(name, value, below=1)
        if any(one >= other for one, other in itertools.pairwise(self.at)):
            raise BadArgument(f"at: received {self.at!r}, allowed: shares that rise")

    def shape(self, progress: Array) -> Array:
        """Return the factor of the peak; arguments as of `Warmed`."""
        passed = sum((progress >= share).astype(jnp.int32) for share in self.at)
        return jnp.take(jnp.float32([self.factor**n for n in range(len(self.at) + 1)]), passed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant(Warmed):
    """The peak throughout, after the warm-up."""

    def shape(self, progress: Array) -> float:
        """Return 1; arguments as of `Warmed`."""
        return 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Polynomial(Warmed):
    """Down to 0 as a power of what is left: `(1 - progress)^power`.

    Attributes:
        power: above 0; 1 is a straight line.

    Source: Chen et al., "DeepLab" (2017), section 4.2, there with a power of 0.9.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("power", self.power, above_zero=True)

    def shape(self, progress: Array) -> Array:
        """Return the factor of the peak; arguments as of `Warmed`."""
        return (1 - progress) ** self.power


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exponential(Warmed):
    """Down by the same factor at every step: `last^progress`.

    Attributes:
        last: what the factor has become at the end, in (0, 1).
    """

    last: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        number("last", self.last, below=1, above_zero=True)

    def shape(self, progress: Array) -> Array:
        """Return the factor of the peak; arguments as of `Warmed`."""
        return jnp.float32(self.last) ** progress


@dataclasses.dataclass(frozen=True)
class FromOptax:
    """A schedule of optax's, or any function of a module that makes one: `step -> factor`.

    `FromOptax(optax.linear_schedule, {"init_value": 1, "end_value": 0}, "transition_steps")`.

    Attributes:
        function: `(**keywords) -> (step -> factor)`; factors multiply `Hyper.learning_rate`.
        keywords: of the function, a mapping from names, which is kept as sorted pairs.
        length: the keyword that gets the number of steps of the run; None where there is none.

    Raises:
        BadArgument: for what is no function, and keywords that are no mapping from names.
    """

    function: Callable[..., Any]
    keywords: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    length: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise BadArgument(f"function: received {self.function!r}, allowed: a function")
        given: Any = self.keywords
        pairs = given.items() if isinstance(given, Mapping) else given
        named = isinstance(pairs, tuple) or isinstance(given, Mapping)
        if not named or not all(
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
            for pair in pairs
        ):
            raise BadArgument(f"keywords: received {given!r}, allowed: a mapping from names")
        object.__setattr__(self, "keywords", tuple(sorted(pairs)))
        if self.length is not None and not isinstance(self.length, str):
            raise BadArgument(f"length: received {self.length!r}, allowed: the name of a keyword")

    def __call__(self, step: Array, steps: int) -> Array:
        """Return the factor, a scalar, of a step, scalar int32 from 0, of so many."""
        length = {} if self.length is None else {self.length: steps}
        return jnp.asarray(self.function(**dict(self.keywords), **length)(step))
