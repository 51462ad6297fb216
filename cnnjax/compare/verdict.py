"""What the runs say: a row a network, and differences with the best."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax.analysis.statistics import mean, paired

__all__ = ["LEVEL", "Difference", "Row", "differences_with_best", "rows_of"]

LEVEL = 0.05
"""The chance, over all comparisons together, of calling a difference significant that is none."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One network over its finished runs.

    Attributes:
        network: its label.
        parameters: learnable scalars.
        multiply_adds: for one image.
        seeds: of the finished runs, ascending.
        accuracy: `[n]` on the test set, in 0..1, in the order of the seeds.
        train_seconds: mean of a run.
        compile_seconds: over all runs; they share the compiled programs.
        failed: how many runs failed.
    """

    network: str
    parameters: int
    multiply_adds: int
    seeds: tuple[int, ...]
    accuracy: np.ndarray
    train_seconds: float
    compile_seconds: float
    failed: int

    @property
    def n(self) -> int:
        """How many runs finished."""
        return len(self.seeds)

    @property
    def mean(self) -> float:
        """Of the accuracy; NaN without a finished run."""
        return float(np.mean(self.accuracy)) if self.n else math.nan

    @property
    def sd(self) -> float:
        """The standard deviation of the accuracy over seeds (n - 1); NaN below two runs."""
        return float(np.std(self.accuracy, ddof=1)) if self.n > 1 else math.nan


@dataclasses.dataclass(frozen=True)
class Difference:
    """A network's accuracy less the best network's, over the seeds that both have.

    `low` and `high` bound the mean difference (Student, paired), `p` is of the paired t-test, both
    by Bonferroni's method for all m comparisons: intervals at the level 1 - 0.05 / m, p-values
    times m. So the intervals hold all at once with 95 % confidence, and one without 0 is the same
    statement as a p below 0.05. They are NaN below two shared seeds.
    """

    network: str
    best: str
    n: int
    mean: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """Whether the difference is told apart from 0: its interval is on one side of it."""
        return self.low > 0 or self.high < 0


def rows_of(results: Mapping[str, Any]) -> list[Row]:
    """Return a row for each network of results.json, the most accurate first."""
    rows = []
    for label, network in results["networks"].items():
        runs = [run for run in results["runs"] if run["network"] == label]
        runs.sort(key=lambda run: run["seed"])
        rows.append(
            Row(
                network=label,
                parameters=network["parameters"],
                multiply_adds=network["multiply_adds"],
                seeds=tuple(run["seed"] for run in runs),
                accuracy=np.array([run["test_accuracy"] for run in runs], float),
                train_seconds=_mean([run["train_seconds"] for run in runs]),
                compile_seconds=sum(run["compile_seconds"] for run in runs),
                failed=sum(failure["network"] == label for failure in results["failures"]),
            )
        )
    # Stable, so that equal networks stay as they were given; those without a run come last.
    return sorted(rows, key=lambda row: -row.mean if row.n else math.inf)


def differences_with_best(rows: Sequence[Row]) -> list[Difference]:
    """Return the differences of all other finished networks with the first of the rows."""
    finished = [row for row in rows if row.n]
    if not finished:
        return []
    best, found = finished[0], []
    shared = {row.network: sorted(set(row.seeds) & set(best.seeds)) for row in finished[1:]}
    tests = sum(len(seeds) > 1 for seeds in shared.values())
    for row in finished[1:]:
        seeds = shared[row.network]
        if not seeds:
            continue
        ours, theirs = _at(row, seeds), _at(best, seeds)
        p, difference = math.nan, mean(ours - theirs)
        if len(seeds) > 1:
            test = paired(ours, theirs, 1 - LEVEL / tests)
            p, difference = min(1.0, tests * test.t_test), test.difference
        ends = difference.mean, difference.low, difference.high
        found.append(Difference(row.network, best.network, len(seeds), *ends, p))
    return found


def _at(row: Row, seeds: Sequence[int]) -> np.ndarray:
    return np.array([row.accuracy[row.seeds.index(seed)] for seed in seeds])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
