"""Images and filters side by side, pixel by pixel."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.style import INK, LINE, caption, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["filter_grid", "filter_tiles", "image_grid", "image_tiles", "mosaic"]


def image_tiles(images: np.ndarray) -> np.ndarray:
    """Return images `[N, H, W, C]` uint8 or floats in 0..1, C 1 or 3, as `[N, H, W, 3]` uint8.

    Raises `BadArgument` for another shape.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise BadArgument(f"images: shape {images.shape}; allowed: [N, H, W, 1 or 3]")
    if images.dtype != np.uint8:
        images = np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return np.broadcast_to(images, (*images.shape[:3], 3))


def filter_tiles(kernel: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Return a kernel's filters as pictures, `[O, kh, kw, 3]` uint8.

    Three input channels are red, green and blue, with 0 a middle grey. Any other number is
    averaged over the channels and drawn blue below 0, white at 0, red above: a scale that is
    symmetric about 0, since the sign of a weight is what matters.

    Args:
        kernel: `[kh, kw, C, O]`.
        largest: the absolute weight at the end of the scale; by default the kernel's largest.

    Raises:
        BadArgument: for another shape.
    """
    if kernel.ndim != 4:
        raise BadArgument(f"kernel: shape {kernel.shape}; allowed: [kh, kw, C, O]")
    filters = np.moveaxis(np.asarray(kernel, np.float64), -1, 0)
    if filters.shape[-1] != 3:
        filters = filters.mean(axis=-1, keepdims=True)
    if largest is None:
        largest = float(np.abs(filters).max())
    filters = np.clip(filters / (largest or 1.0), -1, 1)
    if filters.shape[-1] == 3:
        return np.round(255 * (filters + 1) / 2).astype(np.uint8)
    blue, white, red = np.array([[33, 84, 158], [247, 247, 247], [178, 34, 46]], float)
    ends = np.where(filters < 0, blue, red)
    return np.round(white + np.abs(filters) * (ends - white)).astype(np.uint8)


def image_grid(
    images: np.ndarray, captions: Sequence[str] = (), *, columns: int = 8, tile: float = 0.9
) -> "Figure":
    """Draw images in rows, each with its caption above, without blurring a pixel.

    Args:
        images: `[N, H, W, C]` uint8 or floats in 0..1, C 1 or 3.
        captions: N texts of one line or several, or none.
        columns: of the grid, from 1.
        tile: side of a picture, in inches.

    Raises:
        BadArgument: for another shape, no images, or another number of captions.
    """
    tiles = image_tiles(images)
    if len(tiles) == 0 or columns < 1:
        raise BadArgument(f"images: {len(tiles)} in {columns} columns; at least 1 of each")
    if captions and len(captions) != len(tiles):
        raise BadArgument(f"captions: {len(captions)}; allowed: none, or {len(tiles)}")
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    above = LINE * max((text.count("\n") + 1 for text in captions), default=0)
    pitch, width = tile + above + 0.06, columns * (tile + 0.06) + 0.06
    height = rows * pitch + 0.06
    figure = new_figure(width, height)
    for index, picture in enumerate(tiles):
        row, column = divmod(index, columns)
        left = 0.06 + column * (tile + 0.06)
        top = 0.06 + row * pitch + above
        axes = figure.add_axes(
            (left / width, 1 - (top + tile) / height, tile / width, tile / height)
        )
        axes.imshow(picture, interpolation="none")
        axes.set_axis_off()
        if captions:
            axes.set_title(caption(figure, captions[index], 8, tile), fontsize=8, color=INK, pad=3)
    return figure


def filter_grid(
    kernel: np.ndarray, *, columns: int = 8, tile: float = 0.6, largest: float | None = None
) -> "Figure":
    """Draw the filters of a kernel `[kh, kw, C, O]`; see `filter_tiles` for the colors."""
    return image_grid(filter_tiles(kernel, largest), columns=columns, tile=tile)


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Join pictures `[N, H, W, 3]` uint8 to one `[H', W', 4]`, a transparent pixel between them."""
    count, height, width, _ = tiles.shape
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    joined = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        joined[top : top + height, left : left + width, :3] = tile
        joined[top : top + height, left : left + width, 3] = 255
    return joined
