import itertools
import math
import sys

import numpy as np
import pytest

from cnnjax.analysis import statistics
from cnnjax.errors import BadArgument, Failed

stats = pytest.importorskip("scipy.stats")

RANDOM = np.random.default_rng(1)
FIRST, SECOND = RANDOM.normal(0.9, 0.01, 6), RANDOM.normal(0.88, 0.01, 6)


def test_mean_against_scipy():
    got = statistics.mean(FIRST, 0.9)
    expected = stats.t.interval(0.9, 5, loc=FIRST.mean(), scale=stats.sem(FIRST))
    assert (got.low, got.high) == pytest.approx(expected)
    assert (got.mean, got.std, got.n) == (FIRST.mean(), pytest.approx(FIRST.std(ddof=1)), 6)


def test_one_value_has_no_spread():
    got = statistics.mean([0.5])
    assert (got.mean, got.n) == (0.5, 1)
    assert all(map(math.isnan, (got.std, got.low, got.high)))


def test_interval_covers_as_often_as_it_says():
    draws = RANDOM.normal(size=(2000, 4))
    inside = [(m := statistics.mean(row, 0.8)).low < 0 < m.high for row in draws]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)


def every_sign(differences):
    """Fisher's p-value from its definition: the share of signs with as large a sum, or larger."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    sums = np.abs(signs @ np.asarray(differences, float))
    return np.mean(sums >= abs(np.sum(differences)) - 1e-12)


def fair_coin(successes, failures):
    """Twice the lighter tail, in integers."""
    n, fewer = successes + failures, min(successes, failures)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(fewer + 1)) / 2**n)


def test_paired_against_definitions():
    got = statistics.paired(FIRST, SECOND)
    difference = FIRST - SECOND
    t = difference.mean() / (difference.std(ddof=1) / 6**0.5)
    # Student's tail by its density, summed up.
    x = np.linspace(t, t + 200, 2_000_001)
    density = math.gamma(3) / (math.sqrt(5 * math.pi) * math.gamma(2.5)) * (1 + x**2 / 5) ** -3
    assert got.t_test == pytest.approx(2 * np.trapezoid(density, x), rel=1e-4)
    assert got.difference.mean == pytest.approx(difference.mean())
    assert got.permutation == every_sign(difference)
    positive = int((FIRST > SECOND).sum())
    assert got.sign == pytest.approx(fair_coin(positive, 6 - positive))


@pytest.mark.parametrize("n", range(1, 11))
def test_permutations_against_every_sign(n):
    random = np.random.default_rng(n)
    for differences in (random.normal(0.5, 1, n), random.integers(-3, 4, n)):
        assert statistics.permutation_test(differences) == every_sign(differences)


def test_paired_is_symmetric():
    forth, back = statistics.paired(FIRST, SECOND), statistics.paired(SECOND, FIRST)
    assert forth.difference.mean == -back.difference.mean
    assert (forth.t_test, forth.permutation, forth.sign) == pytest.approx(
        (back.t_test, back.permutation, back.sign)
    )


def test_equal_and_constant_differences():
    same = statistics.paired([0.5, 0.6], [0.5, 0.6])
    assert (same.t_test, same.permutation, same.sign) == (1, 1, 1)
    shifted = statistics.paired([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    assert (shifted.t_test, shifted.permutation, shifted.sign) == (0, 0.25, 0.25)


def test_many_pairs_draw_signs_instead():
    differences = RANDOM.normal(0.3, 1, 17)
    drawn = statistics.permutation_test(differences, draws=20_000)
    assert drawn == statistics.permutation_test(differences, draws=20_000)
    assert drawn == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, abs=0.03)


def test_mcnemar_is_a_fair_coin():
    labels = np.zeros(30, int)
    first, second = labels.copy(), labels.copy()
    first[:3], second[5:17] = 1, 1
    got = statistics.mcnemar(labels, first, second)
    assert (got.only_first, got.only_second) == (12, 3)
    assert got.p_value == pytest.approx(fair_coin(12, 3))
    assert statistics.mcnemar(labels, first, first).p_value == 1


def test_holm_step_by_step():
    assert statistics.holm({"a": 0.01, "b": 0.02, "c": 0.9}) == pytest.approx(
        {"a": 0.03, "b": 0.04, "c": 0.9}
    )
    assert statistics.holm({}) == {}
    assert max(statistics.holm(dict.fromkeys("abcd", 0.5)).values()) == 1


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0]], [math.inf, 1.0]])
def test_bad_values(values):
    with pytest.raises(BadArgument):
        statistics.mean(values)


def test_bad_pairs():
    with pytest.raises(BadArgument):
        statistics.paired([1.0, 2.0], [1.0])
    with pytest.raises(BadArgument):
        statistics.paired([1.0], [1.0])
    with pytest.raises(BadArgument):
        statistics.mcnemar(np.zeros(3), np.zeros(3), np.zeros(4))
    with pytest.raises(BadArgument):
        statistics.holm({"a": 2.0})
    with pytest.raises(BadArgument):
        statistics.mean([1.0], confidence=95)


@pytest.mark.parametrize("n", [2, 5, 16])
def test_signs_are_all_tried_up_to_16(n):
    """One sign in 2^n is as it is, one its opposite."""
    assert statistics.permutation_test(np.ones(n)) == 2 / 2**n
    assert statistics.permutation_test(np.arange(1, n + 1)) == 2 / 2**n


def test_drawn_signs_count_themselves_in():
    """No p-value below 1 / (draws + 1)."""
    assert statistics.permutation_test(np.full(40, 1.0), draws=2999) == 1 / 3000
    assert statistics.permutation_test(np.tile([1.0, -1.0], 20), draws=1000) == 1.0


def test_sums_that_differ_by_rounding_only_are_equal():
    differences = [0.1, 0.2, -0.3, 0.0]
    assert statistics.permutation_test(differences) == 1.0


@pytest.mark.parametrize(
    ("up", "down", "zero"), [(5, 1, 0), (3, 3, 2), (0, 4, 1), (7, 2, 0), (0, 0, 3)]
)
def test_signs_against_integers(up, down, zero):
    differences = [0.5] * up + [-0.2] * down + [0.0] * zero
    assert statistics.sign_test(differences) == pytest.approx(fair_coin(up, down))


@pytest.mark.parametrize("seed", range(5))
def test_holm_against_its_definition(seed):
    """The k-th smallest of m times m - k + 1, never below one before, never above 1."""
    p = np.random.default_rng(seed).uniform(0, 0.4, 6)
    expected = np.empty(6)
    for rank, index in enumerate(np.argsort(p)):
        smaller = [p[other] * (6 - place) for place, other in enumerate(np.argsort(p)[: rank + 1])]
        expected[index] = min(1.0, max(smaller))
    found = statistics.holm(dict(enumerate(p)))
    assert [found[index] for index in range(6)] == pytest.approx(expected)
    assert list(found) == list(range(6))
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(BadArgument, match="p_values"):
            statistics.holm({"a": wrong})


def test_the_usual_confidence_is_95_percent():
    for found in (statistics.mean(FIRST), statistics.paired(FIRST, np.zeros(6)).difference):
        expected = stats.t.interval(0.95, 5, loc=FIRST.mean(), scale=stats.sem(FIRST))
        assert (found.low, found.high) == pytest.approx(expected)
    narrow = statistics.paired(FIRST, np.zeros(6), 0.5).difference
    expected = stats.t.interval(0.5, 5, loc=FIRST.mean(), scale=stats.sem(FIRST))
    assert (narrow.low, narrow.high) == pytest.approx(expected)
    for confidence in (0, 1):
        with pytest.raises(BadArgument, match="confidence"):
            statistics.mean(FIRST, confidence)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    for test in (statistics.sign_test, statistics.permutation_test, statistics.mean):
        with pytest.raises(
            Failed, match=r"needs the package scipy: pip install 'cnnjax\[report\]'"
        ):
            test([1.0, 2.0])
