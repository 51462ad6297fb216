import io
import math
import re

import numpy as np
import pytest
from rich.console import Console

from cnnjax.compare import read_results
from cnnjax.compare.verdict import Difference, differences_with_best, rows_of
from cnnjax.report import print_tables
from cnnjax.report.table import accuracy_text, caution, difference_texts
from tests.compare import made_up
from tests.compare.made_up import accuracies, difference, row


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


def test_a_name_too_wide_for_the_page_is_folded_and_not_cut(tmp_path):
    long = {"".join(chr(97 + (7 * n + k) % 26) for n in range(60)): (1, 2) for k in (0, 9)}
    made_up.write(tmp_path, networks=long, seeds=2)
    text = printed(read_results(tmp_path), 90)
    pieces = "".join(re.findall(r"^ {1,3}([a-z]+)(?= |$)", text, re.MULTILINE))
    # Both among the accuracies, and the one that is not best among the differences.
    assert sorted(pieces.count(name) for name in long) == [1, 2]
