"""What the runs say: a row a network, differences with the best, and the finding in words."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax.analysis.statistics import holm, mean, paired
from cnnjax.plot import compact

__all__ = ["Difference", "Row", "differences_with_best", "finding", "rows_of"]


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

    `low` and `high` bound the mean difference with 95 % confidence (Student, paired); `p` is of
    the paired t-test, adjusted by Holm's method for all the comparisons. They are NaN below two
    shared seeds.
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
        """Whether the difference is told apart from 0 at the 5 % level."""
        return self.p < 0.05


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
    best = finished[0]
    found, p_values = {}, {}
    for row in finished[1:]:
        seeds = sorted(set(row.seeds) & set(best.seeds))
        ours, theirs = _at(row, seeds), _at(best, seeds)
        if len(seeds) > 1:
            test = paired(ours, theirs)
            found[row.network] = test.difference
            p_values[row.network] = test.t_test
        elif seeds:
            found[row.network] = mean(ours - theirs)
    adjusted = holm(p_values)
    return [
        Difference(name, best.network, d.n, d.mean, d.low, d.high, adjusted.get(name, math.nan))
        for name, d in found.items()
    ]


def finding(rows: Sequence[Row], differences: Sequence[Difference]) -> tuple[str, str]:
    """Return the headline and a sentence or two, computed from the numbers."""
    finished = [row for row in rows if row.n]
    if not finished:
        return "No run finished.", "Every run failed; the list below says where."
    best = finished[0]
    spread = f" ± {100 * best.sd:.2f}" if best.n > 1 else ""
    headline = f"{best.network} is the most accurate: {100 * best.mean:.2f}{spread} %"
    if len(finished) == 1:
        return headline, f"Mean of {_seeds(best.n)} on the test set; nothing to compare it with."
    worse = [d for d in differences if d.significant]
    level = [d.network for d in differences if not d.significant]
    if not level:
        first = f"The difference with each of the other {len(worse)} networks is significant."
    elif not worse:
        first = "But none of the differences with the others is significant: see the intervals."
        headline = f"No clear winner: {best.network} leads with {100 * best.mean:.2f}{spread} %"
    else:
        first = (
            f"It is significantly better than {_listed([d.network for d in worse])}; "
            f"{_listed(level)} cannot be told apart from it."
        )
    return headline, f"{first} {_bargain(finished)}".strip()


def _at(row: Row, seeds: Sequence[int]) -> np.ndarray:
    return np.array([row.accuracy[row.seeds.index(seed)] for seed in seeds])


def _bargain(rows: Sequence[Row]) -> str:
    """Say which network gets close to the best for less."""
    best = rows[0]
    near = [row for row in rows[1:] if best.mean - row.mean <= 0.01 and row.multiply_adds]
    cheapest = min(near, key=lambda row: row.multiply_adds, default=None)
    if cheapest is None or cheapest.multiply_adds * 1.5 > best.multiply_adds:
        return ""
    points = 100 * (best.mean - cheapest.mean)
    times = best.multiply_adds / cheapest.multiply_adds
    return (
        f"{cheapest.network} is within {points:.2f} points of it with {compact(times)} times fewer "
        f"multiply-adds ({compact(cheapest.multiply_adds)} against {compact(best.multiply_adds)})."
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
