"""Images of another size: `[H, W, C]` to `[pixels, pixels, C]`, the same for one and for many."""

import dataclasses
from collections.abc import Callable

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.preprocessing import CROP_MODES, Window, windows
from cnnjax.errors import BadArgument, bounded, unknown
from cnnjax.runtime import need_bytes

__all__ = ["INTERPOLATIONS", "MOST_PIXELS", "Resize", "resize", "resize_images"]

MOST_PIXELS = 8192
"""The longest side: no network takes images of that size."""

_AT_ONCE = 2**25
"""Values of images resized at once: as floats they take four times the memory."""


@dataclasses.dataclass(frozen=True)
class Resize:
    """How images of any size become squares of one.

    Attributes:
        pixels: the side, in 1..MOST_PIXELS.
        mode: "center" makes the shorter side that long and keeps the middle of the longer one;
            "squash" makes both that long, whatever becomes of the shape; "pad" makes the longer
            side that long and leaves the rest of the square black.
        interpolation: "bilinear" or "bicubic", antialiased where the result is smaller.

    Raises:
        BadArgument: for values outside these ranges.
    """

    pixels: int
    mode: str = "center"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        bounded("resize", self.pixels, 1, MOST_PIXELS)
        if self.mode not in CROP_MODES:
            raise unknown("mode", self.mode, CROP_MODES)
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)

    @classmethod
    def of(cls, value: "int | str | Resize | None") -> "Resize | None":
        """Return what a number of pixels, or a text such as `"224"` or `"224:pad"`, means.

        >>> Resize.of("160:squash")
        Resize(pixels=160, mode='squash', interpolation='bicubic')
        """
        if value is None or isinstance(value, Resize):
            return value
        if not isinstance(value, str):
            return cls(value)
        pixels, colon, mode = value.partition(":")
        if not (pixels.isascii() and pixels.isdecimal() and len(pixels) < 9):
            raise BadArgument(
                f"resize: received {value!r}, allowed: pixels, or pixels:mode with a mode of "
                f"{', '.join(CROP_MODES)}"
            )
        return cls(int(pixels), mode) if colon else cls(int(pixels))


def resize(
    dataset: Dataset, pixels: int, interpolation: str = "bicubic", mode: str = "center"
) -> Dataset:
    """Return a dataset with square images of `pixels` pixels a side, antialiased where smaller.

    Args:
        dataset: of images of any size.
        pixels: in 1..MOST_PIXELS.
        interpolation: "bilinear" or "bicubic".
        mode: as `Resize.mode`.

    Raises:
        BadArgument: for values outside these ranges.
        Failed: if they do not fit into memory.
    """
    images = resize_images(dataset.images, pixels, interpolation, mode)
    return dataclasses.replace(dataset, images=images)


def resize_images(
    images: np.ndarray, pixels: int, interpolation: str = "bicubic", mode: str = "center"
) -> np.ndarray:
    """Return images resized to squares, as Pillow and `jax.image.resize` do it.

    A pixel of the result is the mean of those around its place, weighted by a kernel that is as
    wide as in the smaller of the two images: antialiased where that is the result.

    Args:
        images: `[N, H, W, C]` uint8.
        pixels: in 1..MOST_PIXELS.
        interpolation: "bilinear" or "bicubic".
        mode: as `Resize.mode`.

    Returns:
        `[N, pixels, pixels, C]` uint8, rounded and clipped.

    Raises:
        BadArgument: for values outside these ranges.
        Failed: if they do not fit into memory.
    """
    bounded("pixels", pixels, 1, MOST_PIXELS)
    how = Resize(pixels, mode, interpolation)
    if images.ndim != 4 or images.dtype != np.uint8:
        raise BadArgument(
            f"images: expected uint8 [N, H, W, C], received {images.dtype} {list(images.shape)}"
        )
    number, height, width, channels = images.shape
    shape = (number, pixels, pixels, channels)
    need_bytes(
        int(np.prod(shape, dtype=object)),
        f"{number:,} images of {pixels}x{pixels}x{channels}",
        "take fewer, or smaller ones",
    )
    kernel = INTERPOLATIONS[interpolation]
    sides = windows((height, width), (pixels, pixels), 1.0, how.mode)
    rows, columns = (
        _weights(length, pixels, window, kernel)
        for length, window in zip((height, width), sides, strict=True)
    )
    result = np.empty(shape, np.uint8)
    block = max(1, _AT_ONCE // (max(height, pixels) * max(width, pixels) * channels))
    for start in range(0, number, block):
        part = images[start : start + block].astype(np.float32)
        turned = np.einsum("nhwc,ph,qw->npqc", part, rows, columns, optimize=True)
        result[start : start + block] = np.clip(np.round(turned), 0, 255)
    return result


def _weights(
    length: int, pixels: int, window: Window, kernel: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """How much of each of `length` pixels each of the new ones takes: `[pixels, length]`."""
    scale = window.extent / window.pixels
    centers = window.start + (np.arange(window.pixels) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights = kernel(distances)
    whole = np.zeros((pixels, length), np.float32)
    whole[window.offset :][: window.pixels] = weights / weights.sum(1, keepdims=True)
    return whole


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981, Cubic Convolution Interpolation for Digital Image Processing, with a = -1/2."""
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


INTERPOLATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
}
"""Kernels by name, of the distance in pixels."""
