"""Where a search looks: the point of each trial, planned ahead or learned from those before it.

A point is one share in [0, 1] for each scalar, in the order of their names; `Domain.at` makes
values of them.
"""

import dataclasses
import math
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from cnnjax.errors import BadArgument, bounded, missing_extra
from cnnjax.tune.space import Space

__all__ = ["TPE", "Adaptive", "Design", "Grid", "Planned", "Random", "Sobol", "check_design"]

MOST_TRIALS = 100_000


@runtime_checkable
class Planned(Protocol):
    """A design that knows every trial's point before the first is trained."""

    def size(self, space: Space) -> int:
        """Return how many points there are at most."""

    def point(self, space: Space, seed: int, number: int) -> tuple[float, ...]:
        """Return the point of trial `number`, from 0; the same for the same arguments."""


@runtime_checkable
class Adaptive(Protocol):
    """A design that looks at the trials before."""

    def sampler(self, seed: int) -> Any:
        """Return the `optuna.samplers.BaseSampler` of one trial, whose seed is its own."""


Design: TypeAlias = Planned | Adaptive


@dataclasses.dataclass(frozen=True)
class Grid:
    """Every combination of some values of each scalar; the last name's changes fastest.

    Attributes:
        points: values of each range, in 1..1,000; of a `Choice` all are taken.
    """

    points: int = 3

    def __post_init__(self) -> None:
        bounded("points", self.points, 1, 1_000)

    def size(self, space: Space) -> int:
        """Return the number of combinations."""
        return math.prod(len(domain.grid(self.points)) for domain in space.values())

    def point(self, space: Space, seed: int, number: int) -> tuple[float, ...]:
        """Return combination `number`, from 0, whatever the seed."""
        grids = [domain.grid(self.points) for domain in space.values()]
        places = np.unravel_index(number, [len(grid) for grid in grids])
        return tuple(grid[place] for grid, place in zip(grids, places, strict=True))


@dataclasses.dataclass(frozen=True)
class Random:
    """Points drawn evenly, each scalar and each trial apart.

    Source: Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization, JMLR 13.
    """

    def size(self, space: Space) -> int:
        """Return the bound on trials: there are as many points as one likes."""
        return MOST_TRIALS

    def point(self, space: Space, seed: int, number: int) -> tuple[float, ...]:
        """Return what trial `number` draws."""
        return tuple(np.random.default_rng([seed, number]).random(len(space)).tolist())


@dataclasses.dataclass(frozen=True)
class Sobol:
    """Points of a scrambled Sobol sequence, which cover the space evenly; best of them 2^k.

    Source: Sobol 1967, scrambled after Owen 1998, by `scipy.stats.qmc`.
    """

    def size(self, space: Space) -> int:
        """Return the bound on trials: there are as many points as one likes."""
        return MOST_TRIALS

    def point(self, space: Space, seed: int, number: int) -> tuple[float, ...]:
        """Return point `number` of the sequence that the seed scrambles."""
        try:
            from scipy.stats import qmc
        except ImportError as error:
            raise missing_extra("scipy", "sweep") from error
        sequence = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
        if number:
            sequence.fast_forward(number)
        return tuple(sequence.random(1)[0].tolist())


@dataclasses.dataclass(frozen=True)
class TPE:
    """Optuna's tree-structured Parzen estimator: near the good trials, away from the bad ones.

    Attributes:
        startup: trials that are drawn at random first, in 1..1,000.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, NeurIPS 24.
    """

    startup: int = 10

    def __post_init__(self) -> None:
        bounded("startup", self.startup, 1, 1_000)

    def sampler(self, seed: int) -> Any:
        """Return the sampler of one trial."""
        from optuna.samplers import TPESampler

        # Trials under way count as bad ones, or those of one program would all be the same.
        return TPESampler(n_startup_trials=self.startup, seed=seed, constant_liar=True)


def check_design(design: Any, space: Space, trials: int | None) -> int:
    """Return how many trials a search makes.

    Raises:
        BadArgument: for what is no design, for more trials than it has points, and for no number
            of trials where the design is no `Grid`.
    """
    if isinstance(design, type) or not isinstance(design, Planned | Adaptive):
        raise BadArgument(
            f"design: received {design!r}, allowed: Grid(), Random(), Sobol(), TPE(), or what has "
            "their methods"
        )
    most = design.size(space) if isinstance(design, Planned) else MOST_TRIALS
    if trials is None and isinstance(design, Grid):
        trials = most
    return bounded("trials", trials, 1, min(most, MOST_TRIALS))  # type: ignore[arg-type]
