"""`report.html` of a retraining: how good it is, what it gets wrong and why, how to use it."""

import datetime
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnnjax import plot
from cnnjax.analysis.attribution import grad_cam
from cnnjax.analysis.evaluation import class_accuracy, confusion_matrix, probabilities
from cnnjax.classifier.transfer import Transferred
from cnnjax.data import Source
from cnnjax.errors import BadArgument, missing_extra
from cnnjax.files import replacing
from cnnjax.plot.attribution import overlay
from cnnjax.records import here
from cnnjax.report.figures import png
from cnnjax.report.page import REPORT
from cnnjax.report.template import rendered

__all__ = ["MOST_MISTAKES", "proportion", "write_transfer_report"]

MOST_MISTAKES = 24
"""How many misclassified images a report shows."""


def proportion(share: float, number: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share that was found on so many images.

    Raises:
        Failed: if scipy is missing.

    >>> low, high = proportion(0.9, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)
    """
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise missing_extra("scipy", "report") from error
    found = binomtest(round(share * number), number).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def write_transfer_report(out: str | Path, done: Transferred, test_set: Source) -> Path:
    """Write `report.html` beside the weights and return its path.

    Args:
        out: directory of the retraining.
        done: what `cnnjax.transfer` returned.
        test_set: the one that it was judged by.

    Raises:
        Failed: if it cannot be written, or matplotlib, jinja2 or scipy is missing.
    """
    path, page = Path(out) / REPORT, rendered("transfer.html.j2", _content(out, done, test_set))
    with replacing(path) as stream:
        stream.write(page.encode("utf-8", "backslashreplace"))
    return path


def _content(out: str | Path, done: Transferred, test_set: Source) -> dict[str, Any]:
    found, names = done.results, test_set.class_names
    labels = np.asarray(test_set.labels)
    counts = confusion_matrix(labels, done.logits.argmax(axis=1), len(names))
    accuracy = np.array([run["accuracy"] for run in found["runs"]])
    chosen = found["tried"][found["chosen"]]
    mistakes, total = _mistakes(done, test_set)
    return {
        "found": found,
        "data": {"name": test_set.name, "image_shape": list(test_set.image_shape)},
        "chosen": chosen,
        "accuracy": accuracy[0],
        "interval": proportion(accuracy[0], len(labels)),
        "seeds": _spread(accuracy),
        "classes": _classes(counts, names),
        "confusion": _confusion(counts, names),
        "curves": _curves(found),
        "mistakes": mistakes,
        "mistakes_total": total,
        "left_out": [str(each) for each in getattr(test_set, "left_out", ())],
        "place": here(),
        "predict": shlex.join(["cnnjax", "predict", found["network"] or "NETWORK", "FILE"])
        + f" --weights {shlex.quote(str(out))}",
        "written": datetime.datetime.now(datetime.UTC).strftime("%d %B %Y").lstrip("0"),
    }


def _spread(accuracy: np.ndarray) -> str:
    if len(accuracy) < 2:
        return ""
    return f"{100 * accuracy.mean():.2f} ± {100 * accuracy.std(ddof=1):.2f} %, n = {len(accuracy)}"


def _classes(counts: np.ndarray, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a row for each class, the worst first: images, accuracy, what it is taken for."""
    rows = []
    for index, share in enumerate(class_accuracy(counts)):
        others = np.where(np.arange(len(names)) == index, 0, counts[index])
        taken = int(np.argmax(others))
        rows.append(
            {
                "name": names[index],
                "images": int(counts[index].sum()),
                "accuracy": float(share),
                "taken_for": f"{names[taken]} ({others[taken]})" if others.any() else "",
            }
        )
    return sorted(rows, key=lambda row: (np.nan_to_num(row["accuracy"], nan=2.0), row["name"]))


def _confusion(counts: np.ndarray, names: tuple[str, ...]) -> str:
    figure = plot.confusion_matrix(counts, names)
    alt = f"Confusion matrix: {counts.trace()} of {counts.sum()} test images right."
    return plot.to_svg(figure, alt, "confusion")


def _curves(found: Mapping[str, Any]) -> str:
    """Return the held-out error of each fine-tuning by epoch, as SVG; "" for none."""
    curves = {}
    for each in found["tried"]:
        history = each.get("history")
        if history:
            errors = [100 * (1 - epoch["validation_accuracy"]) for epoch in history]
            curves[f"rate {each['learning_rate']:g}"] = np.array([errors])
    if not curves:
        return ""
    probe = 100 * (1 - found["tried"][0]["accuracy"])
    epochs = max(values.shape[1] for values in curves.values())
    curves["probe"] = np.full((1, epochs), probe)
    figure = plot.learning_curves(curves, ylabel="error on held-out images (%)")
    ends = "; ".join(f"{name}: {values[0, -1]:.1f} %" for name, values in curves.items())
    return plot.to_svg(figure, f"Held-out error by epoch. At the end {ends}.", "curves")


def _mistakes(done: Transferred, test_set: Source) -> tuple[list[dict[str, Any]], int]:
    """Return the misclassified test images, the most confident first, and how many there are."""
    labels = np.asarray(test_set.labels)
    likely = probabilities(np.asarray(done.logits, np.float64))
    predicted, sure = likely.argmax(axis=1), likely.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    if not len(shown):
        return [], 0
    images = test_set.take(shown)
    names, files = test_set.class_names, getattr(test_set, "files", None)
    heats = _evidence(done, images, predicted[shown])
    rows = []
    for place, (index, tile) in enumerate(zip(shown, plot.image_tiles(images), strict=True)):
        rows.append(
            {
                "image": png(tile),
                "evidence": "" if heats is None else png(overlay(images[place], heats[place])),
                "true": names[labels[index]],
                "predicted": names[predicted[index]],
                "confidence": float(sure[index]),
                "file": "" if files is None else str(files[index]),
                "index": int(index),
            }
        )
    return rows, len(wrong)


def _evidence(done: Transferred, images: np.ndarray, classes: np.ndarray) -> np.ndarray | None:
    """Return Grad-CAM's map for the class that each image was taken for; None without maps."""
    classifier = done.classifier
    mean, std = (each.reshape(1, 1, 1, -1) for each in classifier.normalization)
    inputs = (jnp.asarray(images, jnp.float32) / 255 - mean) / std
    try:
        found = grad_cam(classifier.model, classifier.variables, inputs, jnp.asarray(classes))
    except BadArgument:  # a network whose stages are no maps
        return None
    return np.asarray(found)
