"""Rules from times: what is fastest is found, and noise makes no rule."""

import csv

import numpy as np

from cnnjax.benchmark.operations import Shape
from cnnjax.benchmark.thresholds import FIGURES, Timed, figure_rows, fit, merge, table_rows
from cnnjax.ops.choose import COLUMNS, Rule, read_rules
from cnnjax.ops.geometry import Geometry, Layer

SIZES = [(width, pixels) for width in (16, 32, 64, 128) for pixels in (64, 256)]


def timed(*, when, first=1.0, second=2.0):
    """A takes `first` where `when` holds and `second` elsewhere, B the other way round."""
    return [
        Timed(w, p, {"a": first, "b": second} if when(w, p) else {"a": second, "b": first})
        for w, p in SIZES
    ]


def test_the_one_best_form():
    rules, ratios = fit(timed(when=lambda w, p: True))
    assert rules == [Rule("a")]
    assert ratios == [1.0] * len(SIZES)


def test_a_bound_of_width_and_of_pixels():
    rules, ratios = fit(timed(when=lambda w, p: w >= 64))
    assert max(ratios) == 1
    assert rules == [Rule("a", 64, 0), Rule("b")]
    rules, ratios = fit(timed(when=lambda w, p: w >= 32 and p >= 256))
    assert rules == [Rule("a", 32, 256), Rule("b")]
    assert max(ratios) == 1


def test_three_rules():
    middle = timed(when=lambda w, p: w == 64)
    rules, ratios = fit(middle)
    assert rules == [Rule("b", 128, 0), Rule("a", 64, 0), Rule("b")]
    assert max(ratios) == 1


def test_a_gain_of_less_than_two_percent_is_no_rule():
    draw = np.random.default_rng(0)
    noisy = [
        Timed(w, p, {"a": 1 + 0.03 * draw.random(), "b": 1 + 0.03 * draw.random()})
        for w, p in SIZES
    ]
    assert len(fit(noisy)[0]) == 1


def test_a_form_that_cannot_compute_a_layer_is_passed_over():
    layers = [Timed(16, 64, {"a": 1, "stock": 3}), Timed(16, 1, {"stock": 3, "b": 2})]
    rules, ratios = fit(layers)
    assert ratios == [1, 1]
    assert {rule.form for rule in rules} == {"a", "b"}


def test_forms_that_may_not_be_chosen():
    layers = [Timed(16, 64, {"stock": 1.0, "a": 2.0, "b": 4.0})]
    rules, ratios = fit(layers, never={"stock"})
    assert rules == [Rule("a")]
    assert ratios == [1]


SHAPE = Shape(8, 16, 32, Layer(Geometry((1, 1), ((1, 1), (1, 1)), (1, 1), 1), (9, 7), (3, 3)))
TIMES = {
    "forward": {"stock": [0.003, 0.001, 0.002], "winograd": [0.005]},
    "input_gradient": {"stock": [0.001], "direct": [0.002], "patches": [0.004]},
}
KNOWN = {"kind": "avx512", "jax": "0.12", "cpu": "one, two"}


def test_rows_of_figures_and_the_table_that_is_read_from_them(tmp_path):
    rows = figure_rows(SHAPE, "float32", TIMES, KNOWN)
    assert len(rows) == 5
    first = rows[0]
    assert (first["median_ms"], first["min_ms"], first["max_ms"], first["n"]) == ("2", "1", "3", 3)
    assert (first["height"], first["width"], first["pixels"]) == (9, 7, 63)
    assert first["family"] == "3x3"
    table = table_rows(rows, "0.12")
    assert [(row["operation"], row["form"], row["layers"]) for row in table] == [
        ("forward", "stock", 1),
        ("input_gradient", "direct", 1),  # stock's is not for loops
    ]
    merge(tmp_path / "table.csv", COLUMNS, table)
    assert read_rules(tmp_path / "table.csv", (0, 12)) == {
        ("forward", "3x3", "float32"): (Rule("stock"),),
        ("input_gradient", "3x3", "float32"): (Rule("direct"),),
    }


def test_a_table_keeps_what_was_not_measured_again(tmp_path):
    path = tmp_path / "t.csv"
    rows = table_rows(figure_rows(SHAPE, "float32", TIMES, KNOWN), "0.12")
    older = [{**row, "jax": "0.10", "form": "winograd"} for row in rows[:1]]
    merge(path, COLUMNS, [*rows, *older])
    merge(path, COLUMNS, [{**rows[0], "form": "patches"}])
    group = ("forward", "3x3", "float32")
    assert read_rules(path, (0, 12))[group] == (Rule("patches"),)
    assert read_rules(path, (0, 11))[group] == (Rule("winograd"),)
    assert ("input_gradient", "3x3", "float32") in read_rules(path, (0, 12))


def test_figures_of_another_version_stay(tmp_path):
    path = tmp_path / "f.csv"
    rows = figure_rows(SHAPE, "float32", TIMES, KNOWN)
    merge(path, FIGURES, [{**row, "jax": "0.10"} for row in rows])
    merge(path, FIGURES, rows)
    merge(path, FIGURES, rows[:1])
    with path.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["jax"] for row in found] == ["0.10"] * 5 + ["0.12"]
    assert tuple(found[0]) == FIGURES
    assert found[0]["cpu"] == "one, two"


def test_rows_of_a_group_stay_in_their_order(tmp_path):
    row = dict.fromkeys(COLUMNS, 0) | {"operation": "forward", "family": "3x3", "dtype": "float32"}
    rules = [{**row, "jax": "0.12", "width": width, "form": "stock"} for width in (128, 0, 64)]
    merge(tmp_path / "t.csv", COLUMNS, rules)
    (read,) = read_rules(tmp_path / "t.csv", (0, 12)).values()
    assert [rule.width for rule in read] == [128, 0, 64]
