"""Schedules: `(step, steps) -> factor`, what the peak learning rate is multiplied by at a step.

The factor of those here rises linearly during the first `warmup * steps` steps, the first of which
is not 0, and then falls to just before 0: no step is without effect.
"""

import dataclasses
import itertools
from typing import Protocol

import jax.numpy as jnp

from cnnjax.errors import BadArgument, number
from cnnjax.typing import Array

__all__ = ["Constant", "Cosine", "OneCycle", "Schedule", "Steps"]


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
