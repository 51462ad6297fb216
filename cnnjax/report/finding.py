"""The finding of a comparison in words, computed from its numbers."""

from collections.abc import Sequence

from cnnjax.compare.verdict import Difference, Row
from cnnjax.plot import compact

__all__ = ["finding"]


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
