"""A sheet of examples: a row of images for each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.grids import image_tiles
from cnnjax.plot.style import INK, new_figure, plain, shorten, with_glyphs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contact_sheet"]

_GAP = 0.06


def contact_sheet(
    images: Sequence[np.ndarray], names: Sequence[str], *, tile: float = 0.8
) -> "Figure":
    """Draw a row of images for each class, its name beside it.

    Args:
        images: for each class `[n, H, W, C]` uint8, of n its own and 0 too, C 1 or 3.
        names: of the classes, in the same order.
        tile: side of a picture, in inches.

    Raises:
        BadArgument: for another shape, no class, or another number of names.
    """
    if not images or len(images) != len(names):
        raise BadArgument(f"names: {len(names)} for {len(images)} classes; allowed: one for each")
    rows = [image_tiles(each) for each in images]
    columns = max(map(len, rows))
    if columns == 0:
        raise BadArgument("images: none in any class")
    left, pitch = 1.9, tile + _GAP
    width, height = left + columns * pitch + _GAP, len(rows) * pitch + _GAP
    figure = new_figure(width, height)
    shown = shorten([with_glyphs(name) for name in names], 22)
    for row, (tiles, name) in enumerate(zip(rows, shown, strict=True)):
        bottom = height - (row + 1) * pitch
        figure.text(
            (left - 0.1) / width, (bottom + tile / 2) / height, plain(name), fontsize=9, color=INK,
            ha="right", va="center",
        )  # fmt: skip
        if not len(tiles):
            continue
        # One picture a row: a thousand axes would take minutes.
        gap = max(1, round(tiles.shape[2] * _GAP / tile))
        strip = np.full((tiles.shape[1], len(tiles) * (tiles.shape[2] + gap) - gap, 3), 255)
        for place, picture in enumerate(tiles):
            start = place * (tiles.shape[2] + gap)
            strip[:, start : start + tiles.shape[2]] = picture
        long = tile * strip.shape[1] / tiles.shape[2]
        axes = figure.add_axes((left / width, bottom / height, long / width, tile / height))
        axes.imshow(strip.astype(np.uint8), aspect="auto", interpolation="antialiased")
        axes.set_axis_off()
    return figure
