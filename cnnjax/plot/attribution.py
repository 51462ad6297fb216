"""What a network looks at, drawn over the image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.plot.grids import image_tiles
from cnnjax.plot.style import INK, LINE, caption, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attribution_panels", "heat", "overlay", "signed"]

_BLACK, _RED, _YELLOW = np.array([[20, 11, 52], [214, 69, 65], [252, 253, 191]], float)
_BLUE, _WHITE, _DARK_RED = np.array([[33, 84, 158], [247, 247, 247], [178, 34, 46]], float)


def heat(amount: np.ndarray) -> np.ndarray:
    """Return amounts `[H, W]` in 0..1 as colors `[H, W, 3]` uint8, dark over red to light yellow.

    The lightness rises with the amount, so that it reads without color.
    """
    amount = np.clip(np.asarray(amount, float), 0, 1)[..., None]
    low = _BLACK + 2 * amount * (_RED - _BLACK)
    high = _RED + (2 * amount - 1) * (_YELLOW - _RED)
    return np.round(np.where(amount < 0.5, low, high)).astype(np.uint8)


def overlay(image: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Return an image under a map of evidence of any size, enlarged linearly to the image's.

    Args:
        image: `[H, W, C]` uint8 or floats in 0..1, C 1 or 3.
        amount: `[h, w]`, at least 0; its largest value gets the lightest color.

    Returns:
        `[H, W, 3]` uint8.
    """
    picture = image_tiles(image[None])[0].astype(float)
    enlarged = _enlarge(np.asarray(amount, float), picture.shape[0], picture.shape[1])
    colors = heat(enlarged / (enlarged.max() or 1.0))
    return np.round(0.45 * picture + 0.55 * colors).astype(np.uint8)


def signed(attribution: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """Return attributions `[H, W, C]` summed over channels as colors `[H, W, 3]` uint8.

    Red speaks for the class, blue against it, white is 0. The scale is symmetric and ends at a
    percentile of the absolute sums, since a few pixels hold most of it.
    """
    total = np.asarray(attribution, float).sum(axis=-1)
    largest = np.percentile(np.abs(total), percentile) or np.abs(total).max() or 1.0
    share = np.clip(total / largest, -1, 1)[..., None]
    ends = np.where(share < 0, _BLUE, _DARK_RED)
    return np.round(_WHITE + np.abs(share) * (ends - _WHITE)).astype(np.uint8)


def attribution_panels(panels: Mapping[str, np.ndarray], *, tile: float = 2.6) -> "Figure":
    """Draw pictures `[H, W, 1 or 3]` side by side, each under its title.

    Args:
        panels: title to picture, uint8 or floats in 0..1; a title may have several lines.
        tile: height of a picture, in inches.

    Raises:
        BadArgument: without panels, or for a picture of another shape.
    """
    if not panels:
        raise BadArgument("panels: empty; at least one picture is needed")
    tiles = {title: image_tiles(picture[None])[0] for title, picture in panels.items()}
    widths = [tile * picture.shape[1] / picture.shape[0] for picture in tiles.values()]
    above, gap = LINE * max(title.count("\n") + 1 for title in panels), 0.1
    width, height = sum(widths) + gap * (len(tiles) + 1), tile + above + gap
    figure = new_figure(width, height)
    left = gap
    for (title, picture), wide in zip(tiles.items(), widths, strict=True):
        axes = figure.add_axes((left / width, gap / height, wide / width, tile / height))
        axes.imshow(picture, interpolation="none", aspect="auto")
        axes.set_axis_off()
        axes.set_title(caption(figure, title, 9, wide), fontsize=9, color=INK, pad=4, loc="left")
        left += wide + gap
    return figure


def _enlarge(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a map `[h, w]` at another size, linearly between the middles of its cells."""
    for axis, length in enumerate((height, width)):
        cells = values.shape[axis]
        at = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
        low = np.minimum(at.astype(int), max(cells - 2, 0))
        share = np.expand_dims(at - low, 1 - axis)
        high = np.minimum(low + 1, cells - 1)
        values = (1 - share) * values.take(low, axis) + share * values.take(high, axis)
    return values
