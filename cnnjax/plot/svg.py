"""Figures as SVG that follows the page it stands in: its fonts, and its light or dark colors."""

import html
import io
import re
from typing import TYPE_CHECKING

from cnnjax.files import printable
from cnnjax.plot.style import GRID, INK, MUTED, SERIES, any_glyph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOR_VARIABLES", "to_svg"]

COLOR_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    color: f"--series-{index}" for index, color in enumerate(SERIES)
}
"""Each color of the figures, and the CSS variable that takes its place."""


def to_svg(figure: "Figure", alt: str, name: str) -> str:
    """Return a figure as an `<svg>` element for an HTML page, the same text every time.

    Text stays text, in the page's font. The colors are CSS variables (`COLOR_VARIABLES`), which
    the page must define.

    Args:
        figure: of this package.
        alt: what the picture shows, for those who do not see it.
        name: letters and digits, another for each figure of a page: it keeps their ids apart.
    """
    import matplotlib

    stream = io.StringIO()
    style = matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name})
    with style, any_glyph():
        figure.savefig(stream, format="svg")
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Its style sheet speaks of every element of the page; the page has the rule for its figures.
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", lambda tag: _adapted(tag[0]), text)
    view = re.search(r'viewBox="([^"]+)"', text)
    assert view is not None
    label = html.escape(printable(alt), quote=True)
    head = f'<svg class="figure" viewBox="{view[1]}" role="img" aria-label="{label}">'
    return head + text[text.index(">") + 1 :].rstrip()


def _adapted(tag: str) -> str:
    """Return a tag in the page's colors and without an id that another figure has as well.

    Only tags: what looks like a color or an id in a text is the user's.
    """
    # Matplotlib numbers its groups alike in every figure; a page may use an id once.
    tag = re.sub(r' id="[\w.]+_\d+"', "", tag)
    for color, variable in COLOR_VARIABLES.items():
        tag = tag.replace(color, f"var({variable})")
    return tag
