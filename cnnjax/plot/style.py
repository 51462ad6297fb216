"""One look for every figure: colors, sizes, axes without ornament."""

import contextlib
import functools
import math
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cnnjax.errors import missing_extra
from cnnjax.files import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GRID",
    "INK",
    "LINE",
    "MARKERS",
    "MUTED",
    "SERIES",
    "any_glyph",
    "caption",
    "columns",
    "compact",
    "new_axes",
    "new_figure",
    "plain",
    "shorten",
    "with_glyphs",
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
"""One color a network, each dark enough (4.5 : 1 on white) to write the network's name in."""

LINE = 0.2
"""Inches above a picture that a line of its caption takes, up to 9 points."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One shape a network, so that color is never the only difference."""


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


def plain(text: str) -> str:
    r"""Return text as matplotlib draws it unchanged: dollars are no mathematics, controls escaped.

    Every text from outside (labels, class names, files) goes through this, last.

    >>> print(plain("a$b$c"))
    a\$b\$c
    """
    return printable(text).replace("$", r"\$")


def with_glyphs(text: str) -> str:
    """Return text for a picture of pixels: what the font lacks is written as escapes.

    On a page (`to_svg`) the text stays text, and the page finds a font; pixels have only ours.
    """
    known = _characters()
    escaped = lambda each: each.encode("unicode_escape").decode()
    return "".join(each if ord(each) in known else escaped(each) for each in text)


def caption(figure: "Figure", text: str, size: float, inches: float) -> str:
    """Return lines of text for a picture of pixels, each shortened to what a width holds.

    Args:
        figure: that it is for.
        text: of one line or several.
        size: of the font, in points.
        inches: of the width.
    """
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=size)
    measure = figure.canvas.get_renderer().get_text_width_height_descent  # type: ignore[attr-defined]
    lines = []
    for line in text.split("\n"):
        line = with_glyphs(line)
        length = columns(line)
        while length > 3 and measure(line, font, False)[0] > inches * figure.dpi:
            length -= 1
            line = _shortened(line, length)
        lines.append(plain(line))
    return "\n".join(lines)


@functools.cache
def _characters() -> frozenset[int]:
    """Return the code points that the font of the figures has."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return frozenset(font.get_charmap())


@contextlib.contextmanager
def any_glyph() -> Iterator[None]:
    """Let matplotlib lay out text whose glyphs its fonts lack, for a page that has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing|Matplotlib currently does not support")
        yield


def columns(text: str) -> int:
    """Return how many letters wide a text is: characters of East Asian scripts count twice.

    >>> columns("cat"), columns("\u732b")
    (3, 2)
    """
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def shorten(names: Sequence[str], length: int = 26) -> list[str]:
    """Return the names, those of more columns with an ellipsis in the middle, controls escaped.

    >>> shorten(["lenet5", "abcdefghij"], length=7)
    ['lenet5', 'abc…hij']
    """
    return [_shortened(printable(name), length) for name in names]


def _shortened(name: str, length: int) -> str:
    if columns(name) <= length:
        return name
    keep = (length - 1) // 2
    head, tail = name, name
    while columns(head) > length - 1 - keep:
        head = head[:-1]
    while columns(tail) > keep:
        tail = tail[1:]
    return f"{head}…{tail}"
