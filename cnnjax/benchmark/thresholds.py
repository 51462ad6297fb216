"""From the times of forms to the table that `cnnjax.ops` chooses by."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnjax.files import replacing
from cnnjax.ops.choose import COLUMNS, DTYPES, FAMILIES, Rule

__all__ = ["FIGURES", "Timed", "figure_rows", "fit", "merge", "table_rows"]

FIGURES = (
    "kind", "operation", "family", "dtype", "batch", "height", "width", "channels", "outputs",
    "kernel", "strides", "groups", "form", "median_ms", "min_ms", "max_ms", "n", "jax", "cpu",
)  # fmt: skip
"""Columns of the times: a row for each form of an operation of a layer. `height` and `width` are
those of the images."""

GAIN = 1.02
"""A further rule must make the geometric mean of the times this many times as short."""

MOST_RULES = 3

# Inside of a loop XLA computes its own gradients many times slower than what is measured here
# (`cnnjax.ops.forms.direct`), and training steps are scanned.
_NEVER = {"input_gradient": {"stock"}, "kernel_gradient": {"stock"}}


class Timed(NamedTuple):
    """The milliseconds of every form of an operation on a layer."""

    width: int
    pixels: int
    milliseconds: Mapping[str, float]


def fit(layers: Sequence[Timed], never: Iterable[str] = ()) -> tuple[list[Rule], list[float]]:
    """Return rules for layers, and how many times as long as the fastest form each then takes.

    Of all lists of at most three rules whose bounds are among the measured widths and numbers of
    pixels, the one of the least geometric mean, where each rule after the first costs `GAIN`.

    Args:
        layers: of one operation, family and dtype; at least one.
        never: forms that may not be chosen.
    """
    forms = sorted({form for layer in layers for form in layer.milliseconds} - set(never))
    best = [min(ms for form, ms in layer.milliseconds.items() if form in forms) for layer in layers]
    rules = [
        Rule(form, width, pixels)
        for form in forms
        for width in sorted({0, *(layer.width for layer in layers)})
        for pixels in sorted({0, *(layer.pixels for layer in layers)})
    ]

    def lost(form: str, index: int) -> float:
        return math.log(layers[index].milliseconds.get(form, math.inf) / best[index])

    # The logarithm of each rule's ratio at each layer, nan where the rule says nothing of it.
    every = range(len(layers))
    losses = np.array(
        [[lost(r.form, i) if _holds(r, layers[i]) else math.nan for i in every] for r in rules]
    )
    # In the end there is stock, which can compute anything.
    lists: list[tuple[list[Rule], np.ndarray]] = [
        ([], np.array([lost("stock", index) for index in every]))
    ]
    chosen, least = lists[0], math.inf
    for length in range(MOST_RULES):
        longer = []
        for after, back in lists:
            totals = np.where(np.isnan(losses), back, losses)
            costs = totals.mean(axis=1) + length * math.log(GAIN)
            first = int(np.argmin(costs))
            if costs[first] < least - 1e-9:
                chosen, least = ([rules[first], *after], totals[first]), float(costs[first])
            if length + 1 < MOST_RULES:
                longer += [
                    ([rule, *after], total)
                    for rule, total in zip(rules, totals, strict=True)
                    if after or not (rule.width or rule.pixels)  # the last holds everywhere
                ]
        lists = longer
    return chosen[0], [math.exp(loss) for loss in chosen[1]]


def _holds(rule: Rule, layer: Timed) -> bool:
    """Tell whether a rule decides of a layer: a form that was not timed cannot compute it."""
    wide = layer.width >= rule.width and layer.pixels >= rule.pixels
    return wide and rule.form in layer.milliseconds


def table_rows(figures: Iterable[Mapping[str, Any]], version: str) -> list[dict[str, Any]]:
    """Return the rows of a table, of `COLUMNS`, that figures of one version of jax lead to.

    Args:
        figures: rows of `FIGURES` with, besides, `pixels` of the result.
        version: of jax, such as `0.12`.
    """
    groups: dict[tuple[str, str, str], dict[Any, dict[str, float]]] = {}
    for row in figures:
        group = groups.setdefault((row["operation"], row["family"], row["dtype"]), {})
        width = min(int(row["channels"]), int(row["outputs"]))
        layer = (width, int(row["pixels"]), *(str(row[name]) for name in FIGURES[4:12]))
        group.setdefault(layer, {})[row["form"]] = float(row["median_ms"])
    rows = []
    for (operation, family, dtype), timed in groups.items():
        layers = [Timed(layer[0], layer[1], times) for layer, times in timed.items()]
        rules, ratios = fit(layers, _NEVER.get(operation, ()))
        known = f"{statistics.geometric_mean(ratios):.3f}", f"{max(ratios):.3f}", len(layers)
        for rule in rules:
            cells = (operation, family, dtype, version, rule.width, rule.pixels, rule.form, *known)
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


def figure_rows(shape: Any, dtype: str, times: Mapping[str, Any], known: Mapping[str, str]) -> list:
    """Return the rows of `FIGURES`, and `pixels`, of what `measure` found for a shape.

    Args:
        shape: a `cnnjax.benchmark.operations.Shape`.
        dtype: its name.
        times: seconds by operation and form.
        known: `kind`, `jax` and `cpu`.
    """
    geometry, (height, width), kernel = shape.layer
    about = {
        **known, "family": shape.family, "dtype": dtype, "batch": shape.batch, "height": height,
        "width": width, "channels": shape.channels, "outputs": shape.outputs,
        "kernel": "x".join(map(str, kernel)), "strides": "x".join(map(str, geometry.strides)),
        "groups": geometry.groups, "pixels": shape.pixels,
    }  # fmt: skip
    rows = []
    for operation, forms in times.items():
        for form, seconds in forms.items():
            numbers = statistics.median(seconds), min(seconds), max(seconds)
            spread = {
                f"{name}_ms": f"{1000 * number:.4g}"
                for name, number in zip(("median", "min", "max"), numbers, strict=True)
            }
            rows.append(
                {**about, "operation": operation, "form": form, **spread, "n": len(seconds)}
            )
    return rows


def merge(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows into a CSV file, in place of those that it has of the same version of jax.

    Of a table of rules only those of the same operation, family and dtype give way.
    """
    of_rules = tuple(columns) == COLUMNS
    same = ("operation", "family", "dtype", "jax") if of_rules else ("jax",)

    def key(row: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in same)

    gone = {key(row) for row in rows}
    kept: list[Mapping[str, Any]] = []
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in csv.DictReader(lines) if key(row) not in gone]
    everything = [*kept, *rows]
    if of_rules:
        everything.sort(key=_order)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(everything)
    with replacing(path) as stream:
        stream.write(text.getvalue().encode())


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Group by group; the rules of one stay as they are, and sorting is stable."""
    version = tuple(map(int, row["jax"].split(".")))
    return row["operation"], FAMILIES.index(row["family"]), DTYPES.index(row["dtype"]), version
