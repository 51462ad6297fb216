"""Confusion matrices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.style import (
    GRID,
    INK,
    MUTED,
    SERIES,
    columns,
    new_axes,
    new_figure,
    plain,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix"]


def confusion_matrix(
    counts: np.ndarray, class_names: Sequence[str], *, width: float = 5.4
) -> "Figure":
    """Draw how often each class was taken for each: true classes down, predicted across.

    Right answers and mistakes have colors of their own and scales of their own, else the
    diagonal would leave nothing to see of the mistakes. Up to 20 classes have their counts
    written.

    Args:
        counts: `[K, K]` integers from 0, `counts[true, predicted]`.
        class_names: K names.
        width: in inches.

    Raises:
        BadArgument: for counts that are not `[K, K]` or below 0.
    """
    classes = len(class_names)
    if counts.shape != (classes, classes) or counts.min() < 0:
        raise BadArgument(f"counts: shape {counts.shape}; allowed: [{classes}, {classes}] from 0")
    from_left = 0.45 + 0.068 * max(map(columns, shorten(class_names, 14)))
    side = width - from_left - 0.1
    from_top = from_left if _long(class_names) else 0.55
    figure = new_figure(width, side + from_top + 0.1)
    axes = new_axes(figure, (from_left, 0.1, 0.1, from_top))
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    right = np.eye(classes, dtype=bool)
    for mask, color, most in ((right, SERIES[0], 0.45), (~right, SERIES[1], 0.8)):
        largest = max(int(counts[mask].max(initial=0)), 1)
        for true, predicted in np.argwhere(mask & (counts > 0)):
            strength = counts[true, predicted] / largest
            _cell(axes, true, predicted, color, 0.08 + (most - 0.08) * float(strength))
    edges = np.arange(classes + 1) - 0.5
    if classes <= 20:
        axes.hlines(edges, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
        axes.vlines(edges, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
        for true, predicted in np.argwhere(counts > 0):
            axes.text(
                predicted, true, f"{counts[true, predicted]}", ha="center", va="center",
                fontsize=8.5, color=INK,
            )  # fmt: skip
    step = max(1, classes // 20)
    ticks = np.arange(0, classes, step)
    labels = [plain(shorten(class_names, 14)[tick]) for tick in ticks]
    rotation = 90 if _long(class_names) else 0
    axes.set_xticks(ticks, labels, color=MUTED, rotation=rotation)
    axes.set_yticks(ticks, labels, color=MUTED)
    axes.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("predicted", color=INK, fontsize=9.5)
    axes.set_ylabel("true", color=INK, fontsize=9.5)
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    return figure


def _long(class_names: Sequence[str]) -> bool:
    return max(map(columns, class_names)) > 3


def _cell(axes, row: int, column: int, color: str, alpha: float) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, color=color, alpha=alpha, linewidth=0))
