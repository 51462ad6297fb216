"""What accuracy costs, and how sure the differences are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.labels import label_points
from cnnjax.plot.style import (
    INK,
    MARKERS,
    MUTED,
    SERIES,
    columns,
    compact,
    new_axes,
    new_figure,
    plain,
    shorten,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_against", "differences"]


def accuracy_against(
    cost: Mapping[str, float],
    accuracy: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    width: float = 5.4,
    height: float = 3.9,
) -> "Figure":
    """Draw accuracy against a cost on a logarithmic axis, each network written beside its point.

    The point is the mean over seeds, the bar one standard deviation to either side (none for a
    single seed).

    Args:
        cost: for each network, above 0.
        accuracy: for the same networks `[seeds]`, in 0..1.
        xlabel: what the cost is.
        width: in inches.
        height: in inches.

    Raises:
        BadArgument: if the networks differ or are none, or a cost is not above 0.
    """
    if not cost or set(cost) != set(accuracy):
        raise BadArgument(f"accuracy: networks {list(accuracy)}; allowed: those of cost")
    if min(cost.values()) <= 0:
        raise BadArgument(f"cost: {min(cost.values())}; allowed: numbers above 0")
    figure = new_figure(width, height)
    axes = new_axes(figure, (0.62, 0.52, 0.25, 0.38))
    names = list(cost)
    x = np.array([cost[name] for name in names], float)
    y = np.array([100 * np.mean(accuracy[name]) for name in names])
    deviation = np.array([_deviation(100 * np.asarray(accuracy[name])) for name in names])
    colors = [SERIES[index % len(SERIES)] for index in range(len(names))]
    for index in range(len(names)):
        axes.errorbar(
            x[index], y[index], deviation[index] or None, fmt=MARKERS[index % len(MARKERS)],
            color=colors[index], markersize=7, zorder=3, elinewidth=1.4, capsize=3, capthick=1.4,
        )  # fmt: skip
    axes.set_xscale("log")
    # Whole decades are too far apart for five networks: the limits follow the data, with room
    # for the names.
    room = max(0.16 * np.log10(x.max() / x.min()), 0.15)
    axes.set_xlim(x.min() / 10**room, x.max() * 10 ** (1.6 * room))
    low, high = (y - deviation).min(), (y + deviation).max()
    slack = max(0.12 * (high - low), 0.1)
    axes.set_ylim(low - slack, high + slack)
    axes.xaxis.set_major_formatter(compact)
    axes.xaxis.set_minor_formatter(_minor(x))
    axes.tick_params(axis="x", which="minor", pad=6.5)
    axes.set_xlabel(f"{plain(xlabel)} (log scale)", color=INK, fontsize=9.5)
    axes.set_title("test accuracy (%)", color=INK, fontsize=9.5, loc="left", x=0, pad=8)
    label_points(axes, shorten(names), x, y, deviation, colors)
    return figure


def differences(
    names: Sequence[str],
    mean: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    xlabel: str,
    colors: Sequence[str] | None = None,
    width: float = 5.4,
) -> "Figure":
    """Draw differences with their confidence intervals, a row each, and the line of no difference.

    Args:
        names: N rows, from above.
        mean: `[N]`.
        low: `[N]` lower ends of the intervals; NaN or infinite where there is none.
        high: `[N]` upper ends.
        xlabel: what the difference is of, with its unit.
        colors: of the rows.
        width: in inches.
    """
    rows = np.arange(len(names))[::-1]
    figure = new_figure(width, 1.0 + 0.3 * len(names))
    short = shorten(list(names))
    axes = new_axes(figure, (0.3 + 0.073 * max(map(columns, short), default=0), 0.55, 0.2, 0.15))
    for row, at, a, b, index in zip(rows, mean, low, high, range(len(names)), strict=True):
        color = colors[index] if colors else SERIES[index % len(SERIES)]
        if np.isfinite(a) and np.isfinite(b):
            axes.plot([a, b], [row, row], color=color, linewidth=1.8, solid_capstyle="butt")
        axes.plot([at], [row], "o", color=color, markersize=6)
    axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(rows, list(map(plain, short)), color=INK)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(plain(xlabel), color=INK, fontsize=9.5)
    return figure


def _deviation(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _minor(x: np.ndarray):  # type: ignore[no-untyped-def]
    """Label 2 and 5 of each decade, unless the axis has enough whole decades."""
    wide = np.log10(x.max() / x.min()) > 1.6

    def label(value: float, _position: object = None) -> str:
        leading = round(value / 10 ** np.floor(np.log10(value)))
        return "" if wide or leading not in (2, 5) else compact(value)

    return label
