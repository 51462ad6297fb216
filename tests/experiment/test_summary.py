import io
import math

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from cnnjax.experiment import print_tables, read_results
from cnnjax.experiment.summary import Difference, differences_with_best, finding, rows_of
from cnnjax.experiment.table import accuracy_text, caution, difference_texts
from tests.experiment import made_up
from tests.experiment.made_up import row


def accuracies(results, label):
    return np.array([r["test_accuracy"] for r in results["runs"] if r["network"] == label])


def rows(*given):
    return sorted(given, key=lambda each: -each.mean if each.n else math.inf)


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


def difference(network, mean, half=None, n=3):
    """A difference with an interval of that half width."""
    ends = (math.nan, math.nan) if half is None else (mean - half, mean + half)
    p = math.nan if half is None else (0.01 if abs(mean) > half else 0.2)
    return Difference(network, "best", n, mean, *ends, p)


BEST = row("best", 0.97, 0.98, 0.99)
A, B, C = (row(name, 0.8, 0.8, 0.8) for name in "abc")
LEADS, IS_BEST = "No clear winner: best leads with 98.00", "best is the most accurate: 98.00"


@pytest.mark.parametrize(
    ("given", "differences", "headline", "words"),
    [
        ([row("a", failed=1)], [], "No run finished.", "Every run failed"),
        ([], [], "No run finished.", "Every run failed"),
        ([BEST], [], f"{IS_BEST} ± 1.00 %",
         "Mean of 3 seeds on the test set; nothing to compare it with."),
        ([row("best", 0.98)], [], f"{IS_BEST} %",
         "Mean of one seed on the test set; nothing to compare it with."),
        ([BEST, A], [difference("a", -0.1, 0.05)], f"{IS_BEST} ± 1.00 %",
         "The difference with a is significant."),
        ([BEST, A, B], [difference("a", -0.1, 0.05), difference("b", -0.1, 0.09)],
         f"{IS_BEST} ± 1.00 %",
         "The difference with each of the other 2 networks is significant."),
        ([BEST, A], [difference("a", -0.1, 0.2)], f"{LEADS} ± 1.00 %",
         "But the difference with a is not significant: see its interval."),
        ([BEST, A, B], [difference("a", -0.1, 0.2), difference("b", -0.1, 0.1)],
         f"{LEADS} ± 1.00 %",
         "But none of the differences with the others is significant: see the intervals."),
        ([BEST, A, B, C],
         [difference("a", -0.1, 0.2), difference("b", -0.1, 0.05), difference("c", -0.1)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than b; a and c cannot be told apart from it."),
        ([BEST, A, B, C],
         [difference("a", -0.1, 0.05), difference("b", -0.1, 0.05), difference("c", -0.1, 0.2)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than a and b; c cannot be told apart from it."),
        ([BEST, A, B, C],
         [*(difference(name, -0.1, 0.05) for name in "abc"), difference("d", 0, 1)],
         f"{IS_BEST} ± 1.00 %",
         "It is significantly better than a, b and c; d cannot be told apart from it."),
        ([row("best", 0.98), A], [difference("a", -0.1, n=1)], f"{LEADS} %",
         "But with a single shared seed no difference can be told from chance."),
        ([BEST, A], [difference("a", 0.1, 0.05)], f"{LEADS} ± 1.00 %",
         "On the seeds that both have, a did significantly better."),
        ([BEST, A], [], f"{LEADS} ± 1.00 %",
         "a shares no seed with it: there is nothing to compare."),
        ([BEST, A, B, C], [difference("a", -0.1, 0.05)], f"{IS_BEST} ± 1.00 %",
         "The difference with a is significant. "
         "b and c share no seed with it: there is nothing to compare."),
    ],
)  # fmt: skip
def test_the_finding_says_what_the_numbers_say(given, differences, headline, words):
    found = finding(given, differences)
    assert found[0] == headline
    if given and given[0].n:
        assert found[1] == words
    else:
        assert found[1].startswith(words)


@pytest.mark.parametrize(
    ("near", "words"),
    [
        (row("small", 0.975, 0.975, 0.975, multiply_adds=25),
         "small is within 0.50 points of it with 4 times fewer multiply-adds (25 against 100)."),
        (row("small", 0.971, 0.971, 0.971, multiply_adds=66), "small is within 0.90 points"),
        (row("small", 0.969, 0.969, 0.969, multiply_adds=25), None),  # more than a point
        (row("small", 0.975, 0.975, 0.975, multiply_adds=67), None),  # less than 1.5 times
        (row("small", 0.975, 0.975, 0.975, multiply_adds=0), None),  # none are counted
    ],
)  # fmt: skip
def test_the_bargain_is_near_and_cheap(near, words):
    text = finding([BEST, near], [difference("small", -0.01, 0.2)])[1]
    assert ("within" in text) == (words is not None)
    assert words is None or words in text
    cheaper = row("least", 0.98, 0.98, 0.971, multiply_adds=10)
    assert "least is within" in finding(rows(BEST, near, cheaper), [])[1]


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        ([1], "With a single shared seed nothing can be said of the spread: use three or more."),
        ([1, 1], "With a single shared seed nothing can be said of the spread: use three or more."),
        ([3], "Paired t-tests over n = 3 seeds assume normal differences; a test without that "
              "assumption could not get below p = 0.25 with so few. "
              "They speak of other seeds, not of other test images."),
        ([5, 5], "Paired t-tests over n = 5 seeds assume normal differences; a test without that "
                 "assumption could not get below p = 0.0625 with so few. They speak of other "
                 "seeds, not of other test images. Intervals and p-values are Bonferroni's for 2 "
                 "comparisons: they hold all at once."),
        ([6], "Paired t-tests over n = 6 seeds assume normal differences. "
              "They speak of other seeds, not of other test images."),
        ([1, 2, 6], "Paired t-tests over n = 2 to 6 seeds assume normal differences; a test "
                    "without that assumption could not get below p = 0.5 with so few. They speak "
                    "of other seeds, not of other test images. Intervals and p-values are "
                    "Bonferroni's for 2 comparisons: they hold all at once. Where a single seed "
                    "is shared nothing can be said of the spread."),
    ],
)  # fmt: skip
def test_the_caution_says_what_so_few_seeds_can_show(ns, words):
    assert caution([difference("a", -0.1, 0.2 if n > 1 else None, n) for n in ns]) == words


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ((-0.0123, -0.02, -0.0046, 0.012), ("-1.23", "-2.00 to -0.46", "0.012")),
        ((0.5, -0.25, 1.25, 0.9), ("+50.00", "-25.00 to +125.00", "0.900")),
        ((-0.1, -0.2, -0.01, 0.0009), ("-10.00", "-20.00 to -1.00", "< 0.001")),
        ((-0.1, -0.2, -0.01, 0.001), ("-10.00", "-20.00 to -1.00", "0.001")),
        # An end near 0 keeps its side, and a p-value its side of 0.05.
        ((-0.001, -0.002, -0.00001, 0.0499), ("-0.10", "-0.20 to -0.001", "< 0.05")),
        ((-0.001, -0.002, 0.00003, 0.0501), ("-0.10", "-0.20 to +0.003", "0.050")),
        ((0.0, 0.0, 0.0, 1.0), ("+0.00", "+0.00 to +0.00", "1.000")),
        ((-0.1, math.nan, math.nan, math.nan), ("-10.00", "-", "-")),
    ],
)
def test_texts_of_a_difference(given, texts):
    assert difference_texts(Difference("a", "best", 3, *given)) == texts


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (row("a", 0.5, 0.6, 0.7), "60.00 ± 10.00 (3)"),
        (row("a", 0.12345), "12.35 (1)"),
        (row("a"), "none finished"),
    ],
)
def test_texts_of_accuracy(given, text):
    assert accuracy_text(given) == text


def printed(results, width=120):
    stream = io.StringIO()
    print_tables(results, Console(file=stream, width=width))
    return stream.getvalue()


def test_the_printed_table_has_the_numbers_of_numpy(tmp_path):
    made_up.write(tmp_path)
    results = read_results(tmp_path)
    text = printed(results)
    assert "toy: 40 test images, 4 epochs" in text
    for label, (parameters, multiply_adds) in made_up.NETWORKS.items():
        values = 100 * accuracies(results, label)
        seeds = [seed for seed in range(3) if (label, seed) != ("late", 0)]
        (line,) = (line for line in text.splitlines() if label in line and "±" in line)
        assert f" {parameters:,} " in line
        assert f" {multiply_adds:,} " in line
        assert f" {values.mean():.2f} ± {values.std(ddof=1):.2f} ({len(values)})" in line
        assert ("1 failed" in line) == (label == "late")
        train, compiled = line.split()[-2:]
        assert train == f"{np.mean([1.5 + seed for seed in seeds]):.1f}"
        assert compiled == f"{sum(4.0 if seed == 0 else 0.25 for seed in seeds):.1f}"
    (failed,) = (line for line in text.splitlines() if line.startswith("failed:"))
    assert failed == "failed: late seed 0: the loss is nan at step 7"
    # Two seeds are shared with "late".
    assert "could not get below p = 0.5" in " ".join(text.split())
    rows_found = rows_of(results)
    for each in differences_with_best(rows_found):
        (line,) = (line for line in text.splitlines() if each.network in line and " to " in line)
        assert line.split()[-1] == str(each.n)
        assert all(part in line for part in difference_texts(each))


def test_one_epoch_is_not_epochs(tmp_path):
    made_up.write(tmp_path)
    results = read_results(tmp_path)
    results["recipe"]["epochs"] = 1
    assert "toy: 40 test images, 1 epoch " in printed(results)


def test_networks_without_a_run_are_printed_as_such(tmp_path):
    made_up.write(tmp_path, failures=[(label, None) for label in made_up.NETWORKS])
    text = printed(read_results(tmp_path))
    assert text.count("none finished") == 3
    assert text.count("3 failed") == 3
    assert "difference" not in text


def test_text_from_files_is_printed_as_it_is(tmp_path):
    networks = {"[red]a[/red] :smile: \u4e2d": (1, 2), "[/]": (1, 2)}
    made_up.write(tmp_path, networks=networks, failures=[("[/]", 0)], seeds=2)
    results = read_results(tmp_path)
    results["failures"][0]["error"] = "[bold]x[/bold]\x1b[2J"
    results["data"]["name"] = "[link=x]\x07"
    text = printed(results)
    for label in networks:
        assert label in text
    assert r"[bold]x[/bold]\x1b[2J" in text
    assert r"[link=x]\x07: 40 test images" in text
    assert "difference with [red]a[/red] :smile:" in text
    assert "\x1b" not in text
