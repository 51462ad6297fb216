import io

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from cnnjax.experiment import print_tables, read_results
from cnnjax.experiment.summary import differences_with_best, finding, rows_of
from tests.experiment import made_up


def accuracies(results, label):
    return np.array([r["test_accuracy"] for r in results["runs"] if r["network"] == label])


def test_rows_are_those_of_numpy_the_best_first(tmp_path):
    made_up.write(tmp_path)
    results = read_results(tmp_path)
    rows = rows_of(results)
    assert rows[0].network == "good"
    assert [row.mean for row in rows] == sorted((row.mean for row in rows), reverse=True)
    for row in rows:
        values = accuracies(results, row.network)
        assert row.n == len(values) == 3 - row.failed
        assert row.mean == pytest.approx(values.mean())
        assert row.sd == pytest.approx(values.std(ddof=1))


def test_differences_are_paired_by_seed(tmp_path):
    made_up.write(tmp_path, seeds=5)
    results = read_results(tmp_path)
    differences = {d.network: d for d in differences_with_best(rows_of(results))}
    bad = differences["<b>bad & long</b>"]
    ours, best = accuracies(results, bad.network), accuracies(results, "good")
    test = stats.ttest_rel(ours, best)
    interval = test.confidence_interval(0.95)
    assert (bad.low, bad.high) == pytest.approx((interval.low, interval.high))
    # Seed 0 of "late" failed: the pairs are those of the other seeds.
    late = differences["late"]
    other = stats.ttest_rel(accuracies(results, "late"), best[1:])
    assert late.n == 4
    assert late.mean == pytest.approx((accuracies(results, "late") - best[1:]).mean())
    low, high = sorted([test.pvalue, other.pvalue])
    assert sorted([bad.p, late.p]) == pytest.approx([min(1, 2 * low), max(min(1, 2 * low), high)])


def test_a_single_seed_claims_nothing(tmp_path):
    made_up.write(tmp_path, seeds=1)
    rows = rows_of(read_results(tmp_path))
    differences = differences_with_best(rows)
    assert all(np.isnan(d.p) and np.isnan(d.low) and not d.significant for d in differences)
    assert finding(rows, differences)[0].startswith("No clear winner: good leads with")


def test_no_run_at_all(tmp_path):
    made_up.write(tmp_path, failures=[(label, None) for label in made_up.NETWORKS])
    rows = rows_of(read_results(tmp_path))
    assert differences_with_best(rows) == []
    assert finding(rows, [])[0] == "No run finished."


def test_the_printed_table_has_the_numbers_of_numpy(tmp_path):
    made_up.write(tmp_path)
    results = read_results(tmp_path)
    stream = io.StringIO()
    print_tables(results, Console(file=stream, width=120))
    text = stream.getvalue()
    for label in ("good", "late"):
        values = 100 * accuracies(results, label)
        assert f"{values.mean():.2f} ± {values.std(ddof=1):.2f} ({len(values)})" in text
    assert "<b>bad & long</b>" in text
    assert "1 failed" in text
    assert "the loss is nan at step 7" in text
    assert "could not get below p = 0.5" in text  # two shared seeds with "late"
