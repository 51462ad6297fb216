"""Trials of a search: each a line across its scalars, and what each scalar decides."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.style import INK, MUTED, SERIES, compact, new_axes, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["parallel_coordinates", "shares_of_importance"]

_TICKS = 5


def parallel_coordinates(
    scalars: Mapping[str, Sequence[float]],
    scores: Sequence[float],
    *,
    score: str,
    maximize: bool = True,
    width: float = 7.2,
    height: float = 3.6,
) -> "Figure":
    """Draw every trial as a line across upright axes, the better the darker, the best one red.

    An axis whose numbers are above 0 and span more than a factor of ten is logarithmic.

    Args:
        scalars: for each name the values `[N]`; an axis each, in this order.
        scores: `[N]`, the last axis.
        score: what they are called.
        maximize: whether more is better.
        width: in inches.
        height: in inches.

    Raises:
        BadArgument: for no trials, or lists of different lengths.
    """
    columns = {**{name: np.asarray(v, float) for name, v in scalars.items()}}
    columns[score] = np.asarray(scores, float)
    lengths = {len(values) for values in columns.values()}
    if lengths == {0} or len(lengths) > 1:
        raise BadArgument(f"scores: {len(scores)} of them; allowed: one for each trial, from 1")
    figure = new_figure(width, height)
    axes = new_axes(figure, (0.7, 0.3, 0.7, 0.5))
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    places = np.stack([_unit(values) for values in columns.values()], axis=1)
    order = np.argsort(columns[score] if maximize else -columns[score], kind="stable")
    for rank, index in enumerate(order):
        best = rank == len(order) - 1
        share = (rank + 1) / len(order)
        axes.plot(
            range(len(columns)),
            places[index],
            color=SERIES[1] if best else SERIES[0],
            alpha=1.0 if best else 0.08 + 0.6 * share**2,
            linewidth=2.2 if best else 1.1,
            zorder=rank + 2,
        )
    axes.set_xlim(-0.15, len(columns) - 0.85)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xticks([])
    axes.set_yticks([])
    for place, (name, values) in enumerate(columns.items()):
        _draw_axis(axes, place, name, values)
    return figure


def shares_of_importance(importances: Mapping[str, float], *, width: float = 5.4) -> "Figure":
    """Draw how much of the score each scalar decides, the most on top.

    Args:
        importances: by name, in 0..1.
        width: in inches.

    Raises:
        BadArgument: for none.
    """
    if not importances:
        raise BadArgument("importances: received none, allowed: one or more")
    names = sorted(importances, key=lambda name: importances[name])
    figure = new_figure(width, 0.75 + 0.32 * len(names))
    axes = new_axes(figure, (0.35 + 0.075 * max(map(len, names)), 0.5, 0.45, 0.1))
    shares = [100 * importances[name] for name in names]
    axes.barh(range(len(names)), shares, height=0.62, color=SERIES[0])
    for place, share in enumerate(shares):
        axes.text(share, place, f" {share:.0f}", va="center", color=INK, fontsize=9)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(names)), [plain(name) for name in names], color=INK)
    axes.set_xlim(0, max(100.0, *shares))
    axes.set_xlabel("share of the score's variation among good trials (%)", color=INK, fontsize=9.5)
    return figure


def _logarithmic(values: np.ndarray) -> bool:
    return bool(values.min() > 0 and values.max() > 10 * values.min())


def _unit(values: np.ndarray) -> np.ndarray:
    scale = np.log(values) if _logarithmic(values) else values
    span = np.ptp(scale)
    return (scale - scale.min()) / span if span else np.full(len(values), 0.5)


def _draw_axis(axes: "Axes", place: int, name: str, values: np.ndarray) -> None:
    """Draw one upright axis with its name and a few of its numbers."""
    axes.plot([place, place], [0, 1], color=MUTED, linewidth=1, zorder=1)
    text: dict[str, Any] = {"color": MUTED, "fontsize": 8, "ha": "right", "va": "center"}
    # Above the lines of the trials, which would cross the numbers out.
    text |= {"zorder": 10_000, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}}
    low, high = float(values.min()), float(values.max())
    if low == high:
        axes.text(place - 0.04, 0.5, compact(low), **text)
    else:
        shares = np.linspace(0, 1, _TICKS)
        log = _logarithmic(values)
        for share in shares.tolist():
            value = low * (high / low) ** share if log else low + share * (high - low)
            axes.text(place - 0.04, share, compact(value), **text)
            axes.plot([place - 0.02, place], [share, share], color=MUTED, linewidth=1, zorder=1)
    title = f"{name} (log)" if _logarithmic(values) else name
    axes.text(place, 1.08, plain(title), color=INK, fontsize=9.5, ha="center", va="bottom")
