"""How fast each network is against something else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnnjax.errors import BadArgument
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

__all__ = ["relative_speed"]


def relative_speed(
    ratios: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    xlabel: str,
    width: float = 6.4,
) -> "Figure":
    """Draw ratios on a logarithmic axis, a row a network, with the line where both are as fast.

    Args:
        ratios: for each peer, for each network `(median, least, largest)`, all above 0; a peer may
            lack networks.
        xlabel: what the ratio is of.
        width: in inches.

    Raises:
        BadArgument: if there is no ratio, or one is not above 0.
    """
    names = list(dict.fromkeys(name for rows in ratios.values() for name in rows))
    if not names:
        raise BadArgument("ratios: none; allowed: at least one network of one peer")
    if any(min(row) <= 0 for rows in ratios.values() for row in rows.values()):
        raise BadArgument("ratios: one is not above 0")
    figure = new_figure(width, 1.15 + 0.32 * len(names))
    short = shorten([with_glyphs(name) for name in names], 32)
    axes = new_axes(figure, (0.3 + 0.073 * max(map(columns, short)), 0.55, 0.2, 0.45))
    for index, rows in enumerate(ratios.values()):
        if not rows:
            continue
        color = SERIES[index % len(SERIES)]
        # Peers of one row stand a little apart, so that equal ones are both seen.
        y = [len(names) - 1 - names.index(name) + 0.1 * (index - 1) for name in rows]
        middle, low, high = zip(*rows.values(), strict=True)
        axes.hlines(y, low, high, color=color, linewidth=1.4)
        axes.plot(
            middle,
            y,
            MARKERS[index % len(MARKERS)],
            color=color,
            markersize=6.5,
            label="peer",
        )
    axes.axvline(1, color=MUTED, linewidth=1.2, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(names))[::-1], list(map(plain, short)), color=INK)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(f"{plain(with_glyphs(xlabel))} (log scale)", color=INK, fontsize=9.5)
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9,
        labelcolor=INK, borderaxespad=0.3, handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
    # Given as `label`, a name that begins with an underscore would be left out.
    drawn = (peer for peer, rows in ratios.items() if rows)
    for text, peer in zip(legend.get_texts(), drawn, strict=True):
        text.set_text(plain(with_glyphs(peer)))
    return figure
