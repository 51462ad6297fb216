"""How sure one may be that one network is better than another, from several seeds of each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnjax.errors import BadArgument, missing_extra

__all__ = [
    "McNemar",
    "Mean",
    "Paired",
    "holm",
    "mcnemar",
    "mean",
    "paired",
    "permutation_test",
    "sign_test",
]


@dataclass(frozen=True)
class Mean:
    """A mean of `n` values, their standard deviation (n - 1), and an interval for the mean.

    With n = 1 there is no spread: `std`, `low` and `high` are NaN.
    """

    mean: float
    std: float
    n: int
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """The mean of n paired differences with its interval, and three two-sided p-values.

    `t_test` assumes normal differences; `permutation` and `sign` are exact and assume only that
    under the hypothesis of no difference either sign is as likely. With n pairs `permutation` is
    never below `2 / 2^n`: three seeds cannot show less than 0.25.
    """

    difference: Mean
    t_test: float
    permutation: float
    sign: float


@dataclass(frozen=True)
class McNemar:
    """On how many images only the first, and only the second classifier was right; a p-value."""

    only_first: int
    only_second: int
    p_value: float


def mean(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Mean:
    """Return mean, standard deviation and Student's interval of independent values.

    `mean +- t(1 - (1 - confidence) / 2; n - 1) std / sqrt(n)`, from Student 1908, "The probable
    error of a mean". Constant values give an interval of length 0.

    Args:
        values: `[n]` finite numbers, at least one.
        confidence: how often such an interval holds the true mean, in (0, 1).

    Raises:
        BadArgument: for no values, one that is not finite, or another confidence.
        Failed: if scipy is not installed.
    """
    data = _values("values", values)
    if not 0 < confidence < 1:
        raise BadArgument(f"confidence: got {confidence}; allowed are numbers in (0, 1)")
    n, center = len(data), float(data.mean())
    if n == 1:
        return Mean(center, math.nan, 1, math.nan, math.nan)
    std = float(data.std(ddof=1))
    if std == 0:  # scipy's interval is NaN then
        return Mean(center, std, n, center, center)
    low, high = _stats().t.interval(confidence, n - 1, loc=center, scale=std / math.sqrt(n))
    return Mean(center, std, n, float(low), float(high))


def paired(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    confidence: float = 0.95,
) -> Paired:
    """Compare two networks over the same seeds: `first - second`, pair by pair.

    Args:
        first, second: `[n]` results, such as accuracies, in the same order of seeds; n >= 2.
        confidence: of the interval for the mean difference.

    Raises:
        BadArgument: for different lengths, fewer than two pairs, or values that are not finite.
        Failed: if scipy is not installed.
    """
    a, b = _values("first", first), _values("second", second)
    if len(a) != len(b) or len(a) < 2:
        raise BadArgument(
            f"second: {len(b)} values for {len(a)}; paired results need as many, at least 2"
        )
    differences = a - b
    summary = mean(differences, confidence)
    if (
        summary.std == 0
    ):  # the t statistic is 0 / 0 or infinite, and scipy's answer NaN or a warning
        p_value = 1.0 if summary.mean == 0 else 0.0
    else:
        p_value = float(_stats().ttest_1samp(differences, 0).pvalue)
    return Paired(summary, p_value, permutation_test(differences), sign_test(differences))


def permutation_test(differences: Sequence[float] | np.ndarray, draws: int = 100_000) -> float:
    """Return the two-sided p-value of Fisher's test: how often random signs give as large a sum.

    All 2^n signs are tried where they are at most `draws`, which is exact; beyond, `draws` of
    them, seeded, with `(1 + hits) / (1 + draws)`. Fisher 1935, "The design of experiments", section
    21; Phipson and Smyth 2010 for the ones added.

    Args:
        differences: `[n]` finite numbers, at least one.
        draws: at least 1.

    Raises:
        BadArgument: for no differences, or one that is not finite.
        Failed: if scipy is not installed.

    >>> permutation_test([1.0, 2.0, 3.0])
    0.25
    """
    data = _values("differences", differences)
    if len(data) == 1:  # scipy asks for two; both signs give as large a sum
        return 1.0
    found = _stats().permutation_test(
        (data,),
        lambda x, axis: np.abs(x.sum(axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        alternative="greater",
        random_state=0,
    )
    return float(found.pvalue)


def sign_test(differences: Sequence[float] | np.ndarray) -> float:
    """Return the exact two-sided p-value of the sign test; differences of 0 are left out.

    `min(1, 2 sum_{i <= k} C(n, i) / 2^n)` with k the smaller of the numbers of positive and
    negative differences, n their sum. Arbuthnot 1710; Dixon and Mood 1946.

    Args:
        differences: `[n]` finite numbers, at least one.

    Raises:
        BadArgument: for no differences, or one that is not finite.
        Failed: if scipy is not installed.

    >>> sign_test([1.0, 2.0, 3.0, 0.5])
    0.125
    """
    data = _values("differences", differences)
    return _binomial(int((data > 0).sum()), int((data < 0).sum()))


def mcnemar(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> McNemar:
    """Compare two classifiers on one test set: is either right more often where they differ?

    Exact and two-sided: with b images that only the first and c that only the second has right, b
    is binomial(b + c, 1/2) if they are equally good. McNemar 1947, "Note on the sampling error of
    the difference between correlated proportions". It speaks of these two sets of weights and not
    of their architectures: for those, compare over seeds with `paired`.

    Args:
        labels: `[N]` integers.
        first, second: `[N]` predicted classes.

    Raises:
        BadArgument: for shapes that differ.
        Failed: if scipy is not installed.

    >>> mcnemar(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 0]), np.array([1, 1, 1, 0]))
    McNemar(only_first=3, only_second=0, p_value=0.25)
    """
    labels, first, second = np.asarray(labels), np.asarray(first), np.asarray(second)
    for name, predictions in (("first", first), ("second", second)):
        if predictions.shape != labels.shape or labels.ndim != 1:
            raise BadArgument(
                f"{name}: got shape {list(predictions.shape)} for labels {list(labels.shape)}; "
                "both must be [N]"
            )
    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((first != labels) & (second == labels)).sum())
    return McNemar(only_first, only_second, _binomial(only_first, only_second))


def holm(p_values: Mapping[Any, float]) -> dict[Any, float]:
    """Adjust p-values of several comparisons so that all of them hold at once (Holm 1979).

    The k-th smallest of m is multiplied by `m - k + 1` and made no smaller than the one before,
    at most 1. An adjusted value below 0.05 bounds the chance of any false claim by 0.05. (scipy has
    Benjamini and Hochberg's, which bounds another thing: the share of false claims.)

    >>> holm({"a-b": 0.01, "a-c": 0.04, "b-c": 0.03})
    {'a-b': 0.03, 'a-c': 0.06, 'b-c': 0.06}
    """
    for name, value in p_values.items():
        if not 0 <= value <= 1:
            raise BadArgument(f"p_values: {name!r} has {value}; allowed: 0..1")
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _binomial(successes: int, failures: int) -> float:
    """Return the exact two-sided p-value of a fair coin; 1 for no throws, which scipy refuses."""
    n = successes + failures
    return float(_stats().binomtest(successes, n).pvalue) if n else 1.0


def _values(argument: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise BadArgument(
            f"{argument}: got {np.asarray(values)!r}; allowed: [n] finite numbers, at least one"
        )
    return data


def _stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise missing_extra("scipy", "report") from None
    return stats
