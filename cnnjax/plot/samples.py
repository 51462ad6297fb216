"""Accuracy against the number of training images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.labels import spread
from cnnjax.plot.style import (
    INK,
    MARKERS,
    MUTED,
    SERIES,
    columns,
    new_axes,
    new_figure,
    plain,
    shorten,
    with_glyphs,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_by_size"]


def accuracy_by_size(
    sizes: Sequence[int],
    accuracy: Mapping[str, np.ndarray],
    *,
    chance: float | None = None,
    width: float = 5.4,
    height: float = 3.7,
) -> "Figure":
    """Draw the accuracy of several methods against training-set sizes on a logarithmic axis.

    A line joins the means over seeds, a bar is one standard deviation to either side, and every
    seed is a small dot.

    Args:
        sizes: S different numbers of images, above 0, rising.
        accuracy: for each method `[S, seeds]`, in 0..1.
        chance: what guessing gives, in 0..1: a dashed line; None draws none.
        width: in inches.
        height: in inches.

    Raises:
        BadArgument: without methods, for sizes that do not rise from above 0, or another shape.
    """
    if not accuracy:
        raise BadArgument("accuracy: empty; at least one method is needed")
    if not len(sizes) or sizes[0] <= 0 or any(np.diff(sizes) <= 0):
        raise BadArgument(f"sizes: {list(sizes)}; allowed: rising numbers above 0")
    for name, values in accuracy.items():
        if values.ndim != 2 or len(values) != len(sizes) or not values.size:
            raise BadArgument(
                f"accuracy[{name!r}]: shape {values.shape}; allowed: [{len(sizes)}, seeds]"
            )
    figure = new_figure(width, height)
    names = shorten([with_glyphs(name) for name in accuracy])
    axes = new_axes(figure, (0.55, 0.52, 0.3 + 0.073 * max(map(columns, names)), 0.38))
    means = {name: 100 * values.mean(axis=1) for name, values in accuracy.items()}
    for index, (name, values) in enumerate(accuracy.items()):
        color = SERIES[index % len(SERIES)]
        deviation = 100 * values.std(axis=1, ddof=1) if values.shape[1] > 1 else None
        axes.errorbar(
            sizes, means[name], deviation, fmt=MARKERS[index % len(MARKERS)], linestyle="-",
            color=color, linewidth=1.8, markersize=6, elinewidth=1.4, capsize=3, capthick=1.4,
        )  # fmt: skip
        for seed in values.T:
            axes.plot(sizes, 100 * seed, ".", color=color, markersize=4, alpha=0.6)
    axes.set_xscale("log")
    axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    axes.set_xticks([], minor=True)
    margin = (sizes[-1] / sizes[0]) ** 0.05 if len(sizes) > 1 else 1.5
    axes.set_xlim(sizes[0] / margin, sizes[-1] * margin)
    if chance is not None:
        axes.axhline(100 * chance, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.text(
            sizes[-1] * margin, 100 * chance, "chance ", color=MUTED, fontsize=8.5, ha="right",
            va="bottom",
        )  # fmt: skip
    axes.set_xlabel("training images (log scale)", color=INK, fontsize=9.5)
    axes.set_title("test accuracy (%)", color=INK, fontsize=9.5, loc="left", x=0, pad=8)
    axes.set_ylim(axes.get_ylim())
    low, high = axes.get_ylim()
    ends = np.array([values[-1] for values in means.values()])
    gap = 15 / axes.get_window_extent().height * (high - low)
    for index, (name, place) in enumerate(zip(names, spread(ends, gap, low, high), strict=True)):
        axes.text(
            1.03, (place - low) / (high - low), plain(name), color=SERIES[index % len(SERIES)],
            fontsize=9, va="center", transform=axes.transAxes,
        )  # fmt: skip
    return figure
