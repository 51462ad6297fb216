import math

import numpy as np
import pytest
from scipy import stats

from cnnjax.compare import read_results
from cnnjax.compare.verdict import differences_with_best, rows_of
from tests.compare import made_up
from tests.compare.made_up import accuracies, row, rows


def test_rows_are_those_of_numpy_the_best_first(tmp_path):
    made_up.write(tmp_path)
    results = read_results(tmp_path)
    found = rows_of(results)
    assert found[0].network == "good"
    assert [each.mean for each in found] == sorted((each.mean for each in found), reverse=True)
    for each in found:
        values = accuracies(results, each.network)
        assert each.n == len(values) == 3 - each.failed
        assert each.failed == (each.network == "late")
        assert each.mean == pytest.approx(values.mean())
        assert each.sd == pytest.approx(values.std(ddof=1))
        assert (each.parameters, each.multiply_adds) == made_up.NETWORKS[each.network]
        seeds = [seed for seed in range(3) if (each.network, seed) != ("late", 0)]
        assert each.seeds == tuple(seeds)
        assert each.train_seconds == pytest.approx(np.mean([1.5 + seed for seed in seeds]))
        assert each.compile_seconds == sum(4.0 if seed == 0 else 0.25 for seed in seeds)


def test_rows_sort_seeds_and_put_those_without_a_run_last():
    runs = [made_up.run("b", seed, seed / 10) for seed in (3, 1, 2)]
    results = made_up.shared() | {
        "networks": {"none": made_up.network(), "b": made_up.network()},
        "runs": runs,
        "failures": [],
    }
    first, last = rows_of(results)
    assert (first.network, first.seeds) == ("b", (1, 2, 3))
    np.testing.assert_allclose(first.accuracy, [0.1, 0.2, 0.3])
    assert (last.network, last.n, last.failed) == ("none", 0, 0)
    assert math.isnan(last.mean)
    assert math.isnan(last.sd)
    assert math.isnan(last.train_seconds)
    assert math.isnan(row("one", 0.5).sd)


@pytest.mark.parametrize("networks", [2, 3, 6])
def test_differences_hold_all_at_once(networks):
    """scipy's paired t-test at Bonferroni's level, over the seeds that both have."""
    random = np.random.default_rng(networks)
    given = [row("best", *(0.9 + 0.01 * random.normal(size=6)))]
    given += [
        row(f"n{index}", *(0.88 + 0.01 * random.normal(size=5)), seeds=(1, 2, 3, 4, 7))
        for index in range(networks - 1)
    ]
    found = differences_with_best(rows(*given))
    m = networks - 1
    assert [d.network for d in found] == [each.network for each in rows(*given)[1:]]
    for difference in found:
        (other,) = (each for each in given if each.network == difference.network)
        ours, theirs = other.accuracy[:4], given[0].accuracy[1:5]  # seeds 1 to 4
        test = stats.ttest_rel(ours, theirs)
        interval = test.confidence_interval(1 - 0.05 / m)
        assert difference.n == 4
        assert difference.best == "best"
        assert difference.mean == pytest.approx((ours - theirs).mean())
        assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))
        assert difference.p == pytest.approx(min(1, m * test.pvalue))


def test_an_interval_without_0_is_a_p_below_5_percent():
    random = np.random.default_rng(0)
    kinds = set()
    for spread in np.geomspace(0.001, 0.1, 60):
        given = [row("best", *(0.9 + spread * random.normal(size=4)))]
        given += [row(f"n{i}", *(0.88 + spread * random.normal(size=4))) for i in range(3)]
        for difference in differences_with_best(rows(*given)):
            without = difference.low > 0 or difference.high < 0
            assert difference.significant == without == (difference.p < 0.05)
            kinds.add(without)
    assert kinds == {True, False}


def test_only_what_can_be_tested_counts_as_a_comparison():
    """A network with one shared seed, or none, makes the others' intervals no longer."""
    first, second = row("best", 0.90, 0.92, 0.94), row("other", 0.80, 0.83, 0.81)
    single, apart = row("single", 0.5, seeds=(2,)), row("apart", 0.4, 0.4, seeds=(8, 9))
    (alone,) = differences_with_best([first, second])
    found = differences_with_best([first, second, single, apart, row("failed", failed=3)])
    assert [d.network for d in found] == ["other", "single"]
    assert found[0] == alone
    assert (found[1].n, found[1].mean) == (1, pytest.approx(0.5 - 0.94))
    assert all(map(math.isnan, (found[1].low, found[1].high, found[1].p)))
    assert not found[1].significant
    assert differences_with_best([row("failed", failed=3)]) == []
