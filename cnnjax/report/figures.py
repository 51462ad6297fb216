"""The figures of a report, from results and arrays to SVG and PNG."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnjax import plot
from cnnjax.analysis.evaluation import confusion_matrix
from cnnjax.compare.results import ResultsDirectory
from cnnjax.compare.verdict import Difference, Row
from cnnjax.data import Source

__all__ = [
    "MOST_FILTERS",
    "MOST_MISTAKES",
    "confusion",
    "curves",
    "filters",
    "forest",
    "mistakes",
    "png",
    "tradeoffs",
]

MOST_MISTAKES = 60
"""How many misclassified images a report shows."""

MOST_FILTERS = 64
"""How many filters of a network it shows."""

Arrays = Sequence[Mapping[str, np.ndarray]]


def png(pixels: np.ndarray) -> str:
    """Return a picture `[H, W, 3 or 4]` uint8 as a PNG data URI."""
    from matplotlib.image import imsave

    stream = io.BytesIO()
    anonymous: dict[str, Any] = {"Software": None}
    imsave(stream, np.ascontiguousarray(pixels), format="png", metadata=anonymous)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def tradeoffs(rows: Sequence[Row]) -> list[str]:
    """Return accuracy against parameters, and against multiply-adds, as SVG."""
    figures = []
    for name, words in (("parameters", "parameters"), ("multiply_adds", "multiply-adds per image")):
        shown = [row for row in rows if row.n and getattr(row, name)]
        if not shown:
            continue
        cost = {row.network: getattr(row, name) for row in shown}
        accuracy = {row.network: row.accuracy for row in shown}
        listed = "; ".join(
            f"{row.network}: {plot.compact(cost[row.network])}, {100 * row.mean:.2f} %"
            for row in shown
        )
        figure = plot.accuracy_against(cost, accuracy, xlabel=words)
        figures.append(plot.to_svg(figure, f"Test accuracy against {words}. {listed}.", name))
    return figures


def curves(results: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return the training loss and the validation (else training) error by epoch, as SVG."""
    has_validation = "validation" in results["data"]["sizes"]
    part = "validation" if has_validation else "train"
    loss, error = {}, {}
    for row in rows:
        runs = [run for run in results["runs"] if run["network"] == row.network]
        if runs:
            loss[row.network] = _history(runs, "train_loss")
            error[row.network] = 100 * (1 - _history(runs, f"{part}_accuracy"))
    # No error at all has no place on a logarithmic axis: it is drawn as half an image.
    floor = 50 / results["data"]["sizes"][part]
    error = {name: np.maximum(values, floor) for name, values in error.items()}
    words = "validation error (%)" if has_validation else "training error (%)"
    figures = []
    for name, values, label in (("loss", loss, "training loss"), ("error", error, words)):
        if not values:
            continue
        log = all(np.nanmin(value) > 0 for value in values.values())
        figure = plot.learning_curves(
            values, ylabel=f"{label}, log scale" if log else label, log=log
        )
        ends = "; ".join(f"{k}: {np.mean(v[:, -1]):.3g}" for k, v in values.items())
        alt = f"{label} by epoch for each network, with a band over seeds. At the end {ends}."
        figures.append(plot.to_svg(figure, alt, name))
    return figures


def forest(differences: Sequence[Difference], order: Sequence[str]) -> str:
    """Return the differences with the best and their intervals, as SVG; `order` gives colors."""
    colors = [plot.SERIES[order.index(d.network) % len(plot.SERIES)] for d in differences]
    ends = {name: 100 * np.array([getattr(d, name) for d in differences]) for name in _ENDS}
    names = [d.network for d in differences]
    best = differences[0].best
    words = f"difference with {plot.shorten([best])[0]}, points"
    figure = plot.differences(names, *ends.values(), xlabel=words, colors=colors)
    alt = f"Mean differences in test accuracy with {best} and their 95 % intervals; see the table."
    return plot.to_svg(figure, alt, "forest")


_ENDS = ("mean", "low", "high")


def confusion(arrays: Arrays, test_set: Source, network: str) -> str:
    """Return the confusion matrix of a network, summed over its runs, as SVG."""
    labels = np.tile(test_set.labels, len(arrays))
    predicted = np.concatenate([run["predicted"] for run in arrays])
    counts = confusion_matrix(labels, predicted, len(test_set.class_names))
    figure = plot.confusion_matrix(counts, test_set.class_names)
    mistakes = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    true, taken = np.unravel_index(np.argmax(mistakes), counts.shape)
    names = test_set.class_names
    alt = f"Confusion matrix of {network}: {counts.trace()} of {counts.sum()} predictions right."
    if mistakes.max():
        alt += f" Most frequent mistake: {names[true]} taken for {names[taken]}, {mistakes.max()}."
    return plot.to_svg(figure, alt, "confusion")


def mistakes(arrays: Arrays, test_set: Source) -> tuple[list[dict[str, Any]], int]:
    """Return the misclassified test images and how many there are.

    Those that most runs got wrong come first, then the more confident. At most `MOST_MISTAKES`
    are returned, each with its `image`, the `true` and `predicted` class (the most frequent wrong
    one), the mean `confidence` in it, and how many runs were `wrong`.
    """
    predicted = np.stack([run["predicted"] for run in arrays])
    confidence = np.stack([run["confidence"] for run in arrays])
    wrong = predicted != test_set.labels
    times = wrong.sum(axis=0)
    sure = np.where(wrong, confidence, 0).sum(axis=0) / np.maximum(times, 1)
    order = np.lexsort((np.arange(len(times)), -sure, -times))[: (times > 0).sum()]
    shown = []
    tiles = plot.image_tiles(test_set.take(order[:MOST_MISTAKES]))
    for index, tile in zip(order[:MOST_MISTAKES], tiles, strict=True):
        answers = predicted[wrong[:, index], index]
        taken = int(np.argmax(np.bincount(answers)))
        chosen = wrong[:, index] & (predicted[:, index] == taken)
        shown.append(
            {
                "image": png(tile),
                "true": test_set.class_names[test_set.labels[index]],
                "predicted": test_set.class_names[taken],
                "confidence": float(confidence[chosen, index].mean()),
                "wrong": int(times[index]),
                "runs": len(arrays),
                "index": int(index),
            }
        )
    return shown, len(order)


def filters(
    directory: ResultsDirectory, results: Mapping[str, Any], rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Return the first layer's filters before and after training, of each network's first run."""
    shown = []
    for row in rows:
        runs = [run for run in results["runs"] if run["network"] == row.network]
        arrays = directory.arrays(runs[0]) if runs else {}
        if "filters_after" not in arrays:
            continue
        before, after = arrays["filters_before"], arrays["filters_after"]
        # One scale for both, else training would seem to leave the size of the weights alone.
        largest = float(max(np.abs(kernel).max() for kernel in (before, after)))
        height, width, channels, number = after.shape
        columns = 8 if number % 6 or number > 12 else 6
        pictures = [
            plot.mosaic(plot.filter_tiles(kernel[..., :MOST_FILTERS], largest), columns)
            for kernel in (before, after)
        ]
        scale = max(2, round(24 / width))
        shown.append(
            {
                "network": row.network,
                "seed": runs[0]["seed"],
                "before": png(pictures[0]),
                "after": png(pictures[1]),
                "pixels": pictures[0].shape[1] * scale,
                "shape": f"{number} filters of {height}x{width}x{channels}",
                "cut": number > MOST_FILTERS,
                "largest": largest,
            }
        )
    return shown


def _history(runs: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """`[seeds, epochs]`, NaN where a value was not finite."""
    return np.array([[entry[name] for entry in run["history"]] for run in runs], float)
