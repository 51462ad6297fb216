"""Writing names beside what they name, without one covering another."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnjax.plot.style import any_glyph, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["label_points", "spread"]

Box = tuple[float, float, float, float]


def spread(wanted: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move positions apart to at least `gap`, each as little as possible, inside `low..high`.

    Args:
        wanted: `[N]` positions.
        gap: the least distance, above 0; smaller if N of them do not fit.
        low: the least position.
        high: the largest.

    Returns:
        `[N]` positions in the order of `wanted`.

    >>> spread(np.array([1.0, 1.0]), 2.0, 0.0, 10.0).tolist()
    [0.0, 2.0]
    """
    count = len(wanted)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    order = np.argsort(wanted, kind="stable")
    # Isotonic regression: with i * gap taken away, "at least gap apart" reads "not decreasing".
    blocks: list[tuple[float, int]] = []
    for value in wanted[order] - gap * np.arange(count):
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    level = np.concatenate([np.full(size, value) for value, size in blocks] or [np.zeros(0)])
    level = np.clip(level, low, high - gap * max(count - 1, 0))
    placed = np.empty(count)
    placed[order] = level + gap * np.arange(count)
    return placed


def label_points(
    axes: "Axes",
    names: Sequence[str],
    x: np.ndarray,
    y: np.ndarray,
    half_height: np.ndarray,
    colors: Sequence[str],
    *,
    size: float = 9,
) -> None:
    """Write each name near its point, clear of the other names, points and error bars.

    The limits of the axes must be final. A name that had to move away gets a thin line.

    Args:
        axes: where the points are drawn.
        names: N texts.
        x: `[N]` in data units.
        y: `[N]` in data units.
        half_height: `[N]` half the length of the error bar, in data units.
        colors: of the texts.
        size: of the font, in points.
    """
    figure = axes.get_figure()
    assert figure is not None
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    to_pixels, to_data = axes.transData.transform, axes.transData.inverted().transform
    center = to_pixels(np.stack([x, y], axis=1))
    top = to_pixels(np.stack([x, y + half_height], axis=1))[:, 1]
    bottom = to_pixels(np.stack([x, y - half_height], axis=1))[:, 1]
    inside = axes.get_window_extent(renderer)
    taken: list[Box] = []
    for (px, py), t, b in zip(center, top, bottom, strict=True):
        taken += [(px - 6, py - 6, px + 6, py + 6), (px - 3, b - 2, px + 3, t + 2)]
    frame = (inside.x0, inside.y0, inside.x1 + 0.9 * _margin(axes), inside.y1 + 8)

    # The crowded points first: they have the fewest places to choose from.
    distance = np.hypot(*(center[:, None] - center[None]).transpose(2, 0, 1))
    for index in np.argsort(np.sort(distance, axis=1)[:, 1:2].sum(axis=1), kind="stable"):
        text = axes.text(0, 0, plain(names[index]), fontsize=size, color=colors[index])
        with any_glyph():
            extent = text.get_window_extent(renderer)
        place = _place(center[index], extent.width, extent.height, taken, frame)
        taken.append(place)
        left, middle = to_data((place[0], (place[1] + place[3]) / 2))
        text.set_position((left, middle))
        text.set_verticalalignment("center")
        anchor = _nearest(center[index], place)
        if math.dist(anchor, center[index]) > 14:
            (x0, y0), (x1, y1) = to_data(center[index]), to_data(anchor)
            axes.plot([x0, x1], [y0, y1], color=colors[index], linewidth=0.7, zorder=1)


def _margin(axes: "Axes") -> float:
    """The pixels between the axes and the right edge of the figure."""
    figure = axes.get_figure()
    assert figure is not None
    return float(figure.bbox.x1 - axes.get_window_extent().x1)


def _place(point: np.ndarray, width: float, height: float, taken: Sequence[Box], frame: Box) -> Box:
    """Return the free box nearest to a point, or the least covered one where all are taken."""
    best: tuple[float, Box] | None = None
    # Right, left, above, below, then the diagonals: the order in which a reader expects a name.
    turns = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202)
    for radius, turn in itertools.product((10, 16, 24, 34, 46, 60, 76, 94), turns):
        dx, dy = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        x = point[0] + radius * dx + (width / 2) * (dx - 1 if abs(dx) < 0.9 else np.sign(dx) - 1)
        y = point[1] + radius * dy + (height / 2) * (dy - 1)
        box = (x, y, x + width, y + height)
        cost = sum(_overlap(box, other) for other in taken) + 10 * _outside(box, frame)
        if cost == 0:
            return box
        if best is None or cost < best[0]:
            best = (cost, box)
    assert best is not None
    return best[1]


def _overlap(a: Box, b: Box) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: Box, frame: Box) -> float:
    over = (frame[0] - box[0], frame[1] - box[1], box[2] - frame[2], box[3] - frame[3])
    return sum(max(amount, 0.0) for amount in over)


def _nearest(point: np.ndarray, box: Box) -> tuple[float, float]:
    return (
        float(np.clip(point[0], box[0], box[2])),
        float(np.clip(point[1], box[1], box[3])),
    )
