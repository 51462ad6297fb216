"""What the runs say: a row a network, differences with the best, and the finding in words."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax.analysis.statistics import mean, paired
from cnnjax.plot import compact

__all__ = ["LEVEL", "Difference", "Row", "differences_with_best", "finding", "rows_of"]

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
    worse = [d.network for d in differences if d.significant and d.mean < 0]
    if not worse:
        headline = f"No clear winner: {best.network} leads with {100 * best.mean:.2f}{spread} %"
    sentences = [*_significance(differences, worse), *_unusual(finished, differences)]
    return headline, " ".join([*sentences, *_bargain(finished)])


def _significance(differences: Sequence[Difference], worse: Sequence[str]) -> list[str]:
    """Say which networks are told apart from the best one."""
    level = [d.network for d in differences if not d.significant]
    if worse and level:
        return [
            f"It is significantly better than {_listed(worse)}; {_listed(level)} cannot be told "
            "apart from it."
        ]
    if worse:
        with_whom = worse[0] if len(worse) == 1 else f"each of the other {len(worse)} networks"
        return [f"The difference with {with_whom} is significant."]
    if level and all(d.n < 2 for d in differences):
        return ["But with a single shared seed no difference can be told from chance."]
    if len(level) == 1:
        return [f"But the difference with {level[0]} is not significant: see its interval."]
    if level:
        return ["But none of the differences with the others is significant: see the intervals."]
    return []


def _unusual(finished: Sequence[Row], differences: Sequence[Difference]) -> list[str]:
    """Say what can happen only where networks have different seeds."""
    better = [d.network for d in differences if d.significant and d.mean > 0]
    compared = {d.network for d in differences}
    apart = [row.network for row in finished[1:] if row.network not in compared]
    found = []
    if better:
        found.append(f"On the seeds that both have, {_listed(better)} did significantly better.")
    if apart:
        has = "shares" if len(apart) == 1 else "share"
        found.append(f"{_listed(apart)} {has} no seed with it: there is nothing to compare.")
    return found


def _at(row: Row, seeds: Sequence[int]) -> np.ndarray:
    return np.array([row.accuracy[row.seeds.index(seed)] for seed in seeds])


def _bargain(rows: Sequence[Row]) -> list[str]:
    """Say which network gets close to the best for less."""
    best = rows[0]
    near = [row for row in rows[1:] if best.mean - row.mean <= 0.01 and row.multiply_adds]
    cheapest = min(near, key=lambda row: row.multiply_adds, default=None)
    if cheapest is None or cheapest.multiply_adds * 1.5 > best.multiply_adds:
        return []
    points = 100 * (best.mean - cheapest.mean)
    times = best.multiply_adds / cheapest.multiply_adds
    return [
        f"{cheapest.network} is within {points:.2f} points of it with {compact(times)} times fewer "
        f"multiply-adds ({compact(cheapest.multiply_adds)} against {compact(best.multiply_adds)})."
    ]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _seeds(n: int) -> str:
    return "one seed" if n == 1 else f"{n} seeds"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
