"""Learning curves: a line a network, a band over its seeds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.labels import spread
from cnnjax.plot.style import INK, SERIES, columns, compact, new_axes, new_figure, plain, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_curves"]


def learning_curves(
    curves: Mapping[str, np.ndarray],
    *,
    ylabel: str,
    log: bool = False,
    width: float = 5.4,
    height: float = 3.7,
) -> "Figure":
    """Draw a quantity against epochs: the mean over seeds, and a band from least to largest.

    Args:
        curves: for each network `[seeds, epochs]`; NaN where there is none.
        ylabel: what the quantity is, with its unit.
        log: a logarithmic axis; every value must then be above 0.
        width: in inches.
        height: in inches.

    Raises:
        BadArgument: without curves, for one that is not two-dimensional, or a value not above 0
            on a logarithmic axis.
    """
    if not curves:
        raise BadArgument("curves: empty; at least one network is needed")
    for name, values in curves.items():
        if values.ndim != 2 or values.size == 0:
            raise BadArgument(f"curves[{name!r}]: shape {values.shape}; allowed: [seeds, epochs]")
        if log and np.nanmin(values) <= 0:
            raise BadArgument(f"curves[{name!r}]: not above 0 on a logarithmic axis")
    figure = new_figure(width, height)
    names = shorten(list(curves))
    margin = 0.35 + 0.073 * max(map(columns, names))
    axes = new_axes(figure, (0.62, 0.52, margin, 0.38))
    ends = []
    for index, values in enumerate(curves.values()):
        epochs = 1 + np.arange(values.shape[1])
        color = SERIES[index % len(SERIES)]
        style = ("-", "--", ":")[index // len(SERIES) % 3]
        mean = values.mean(axis=0)
        if len(values) > 1:
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(epochs, low, high, color=color, alpha=0.16, linewidth=0)
            if len(epochs) == 1:  # of which a band shows nothing
                axes.vlines(epochs, low, high, color=color, alpha=0.4, linewidth=1.4)
        marker = "o" if len(epochs) == 1 else None
        axes.plot(epochs, mean, color=color, linewidth=1.8, linestyle=style, marker=marker)
        finite = np.flatnonzero(np.isfinite(mean))
        ends.append((epochs[finite[-1]], mean[finite[-1]]) if finite.size else (1, np.nan))
    if log:
        _mark_logarithms(axes)
    _mark_epochs(axes, max(values.shape[1] for values in curves.values()))
    axes.set_xlabel("epoch", color=INK, fontsize=9.5)
    axes.set_title(plain(ylabel), color=INK, fontsize=9.5, loc="left", x=0, pad=8)
    _label_ends(axes, names, np.array(ends, float))
    return figure


def _mark_epochs(axes: "Axes", epochs: int) -> None:
    """Let the axis run over whole epochs, a single one in the middle."""
    from matplotlib.ticker import MaxNLocator

    if epochs == 1:
        axes.set_xlim(0.5, 1.5)
        axes.set_xticks([1])
    else:
        margin = 0.01 * (epochs - 1)
        axes.set_xlim(1 - margin, epochs + margin)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _mark_logarithms(axes: "Axes") -> None:
    """Give a logarithmic axis numbers to read, whole decades in it or not."""
    from matplotlib.ticker import MaxNLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 10 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_formatter(compact)
        axes.yaxis.set_minor_formatter(_few_minor)
        axes.tick_params(which="minor", labelsize=8)


def _few_minor(value: float, _position: object = None) -> str:
    """Label only 2 and 5 of a decade, where a decade is all there is to see."""
    leading = value / 10 ** np.floor(np.log10(value))
    return compact(value) if round(leading) in (2, 5) else ""


def _label_ends(axes: "Axes", names: list[str], ends: np.ndarray) -> None:
    """Write the names in a column right of the axes, each joined to the end of its line."""
    axes.set_ylim(axes.get_ylim())
    to_axes = axes.transAxes.inverted().transform
    box = axes.get_window_extent()
    finite = np.isfinite(ends).all(axis=1)
    at = np.full((len(ends), 2), 0.5)
    at[finite] = to_axes(axes.transData.transform(ends[finite]))
    placed = spread(at[:, 1], 15 / box.height, 0.02, 0.98)
    for index, name in enumerate(names):
        color = SERIES[index % len(SERIES)]
        axes.text(
            1.055, placed[index], plain(name), color=color, fontsize=9, va="center",
            transform=axes.transAxes,
        )  # fmt: skip
        axes.plot(
            [at[index, 0], 1.045], [at[index, 1], placed[index]], color=color, linewidth=0.7,
            transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
