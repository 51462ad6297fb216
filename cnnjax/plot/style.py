"""One look for every figure: colours, sizes, axes without ornament."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnnjax.errors import missing_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "SERIES",
    "compact",
    "new_axes",
    "new_figure",
    "shorten",
]

INK, MUTED, GRID = "#1b1f24", "#5f6873", "#dfe3e8"
"""Text and lines; secondary text; the grid."""

SERIES = (
    "#0b62a4",
    "#c2410c",
    "#047857",
    "#a21caf",
    "#92600a",
    "#0e7490",
    "#b91c4b",
    "#5048b5",
)
"""One colour a network, each dark enough (4.5 : 1 on white) to write the network's name in."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One shape a network, so that colour is never the only difference."""


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty transparent figure of that size in inches, outside pyplot's global state.

    Raises `Failed` if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    figure = Figure(figsize=(width, height), dpi=100, facecolor="none")
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: "Figure", box: tuple[float, float, float, float]) -> "Axes":
    """Return axes with margins of `(left, bottom, right, top)` inches and a quiet grid."""
    width, height = figure.get_size_inches()
    left, bottom, right, top = box
    axes = figure.add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        ),
        facecolor="none",
    )
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", color=MUTED, labelcolor=MUTED, labelsize=9, length=3)
    axes.tick_params(which="minor", length=0)
    axes.tick_params(axis="y", length=0)
    return axes


def compact(value: float, _position: Any = None) -> str:
    """Return a count as people say it: three digits and a unit.

    >>> compact(61706), compact(1_500_000), compact(20), compact(0.25)
    ('61.7k', '1.5M', '20', '0.25')
    """
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            digits = max(0, 2 - math.floor(math.log10(abs(scaled) * 1.0005)))
            return (
                f"{scaled:.{digits}f}".rstrip("0").rstrip(".") + unit
                if digits
                else (f"{scaled:.0f}{unit}")
            )
    return f"{value:.3g}"


def shorten(names: Sequence[str], length: int = 26) -> list[str]:
    """Return the names, the long ones with an ellipsis in the middle.

    >>> shorten(["lenet5", "abcdefghij"], length=7)
    ['lenet5', 'abc…hij']
    """
    keep = (length - 1) // 2
    return [
        name if len(name) <= length else f"{name[: length - 1 - keep]}…{name[-keep:]}"
        for name in names
    ]
