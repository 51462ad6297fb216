"""Pooling over windows of an image."""

from collections.abc import Sequence
from math import comb

import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnjax.errors import BadArgument
from cnnjax.ops.geometry import Pads, Pair, pair, resolve_padding, window_padding
from cnnjax.ops.largest import Windows, largest, stock_largest
from cnnjax.ops.lowering import has_explicit_sharding
from cnnjax.ops.switch import is_stock
from cnnjax.typing import Array

__all__ = ["avg_pool", "blur_pool", "global_avg_pool", "max_pool"]


def max_pool(
    images: Array,
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "VALID",
    ceil_mode: bool = False,
) -> Array:
    """Return the largest value in each window.

    The gradient goes to the first largest value, row by row. Padding never wins.

    Args:
      images: `[B, H, W, C]`, a float dtype.
      window: height and width; an integer means a square.
      strides: steps of the window; the window itself by default.
      padding: as in `conv2d`.
      ceil_mode: also keep a last window that begins inside the padded image but ends beyond it,
        as PyTorch does.

    Returns:
      `[B, H', W', C]`, `H' = (H + top + bottom - window) // stride + 1`.

    Raises:
      BadArgument: another rank or dtype, a window that does not fit the padded image, padding
        as large as the window.
    """
    size, steps, pads, _ = _windows(images, window, strides, padding, ceil_mode)
    windows = Windows(size, steps, pads)
    if is_stock() or has_explicit_sharding(images):
        return stock_largest(images, windows)
    return largest(images, windows)


def avg_pool(
    images: Array,
    window: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]] = "VALID",
    count_include_pad: bool = True,
    ceil_mode: bool = False,
) -> Array:
    """Return the mean of each window.

    Args:
      images: `[B, H, W, C]`, a float dtype.
      window: height and width; an integer means a square.
      strides: steps of the window; the window itself by default.
      padding: as in `conv2d`.
      count_include_pad: divide by the pixels of the window inside the padded image; otherwise by
        those inside the image.
      ceil_mode: also keep a last window that begins inside the padded image but ends beyond it,
        as PyTorch does; what lies beyond the padding is never counted.

    Returns:
      `[B, H', W', C]`, the dtype of the images.

    Raises:
      BadArgument: as `max_pool`.
    """
    size, steps, pads, beyond = _windows(images, window, strides, padding, ceil_mode)
    sums = lax.reduce_window(
        images,
        np.array(0, images.dtype),
        lax.add,
        (1, *size, 1),
        (1, *steps, 1),
        ((0, 0), *pads, (0, 0)),
    )
    rows, columns = (
        _counts(*axis, count_include_pad)
        for axis in zip(images.shape[1:3], size, steps, pads, beyond, strict=True)
    )
    scale = 1 / (rows[:, None] * columns)
    if (scale == scale[0, 0]).all():
        return sums * np.array(scale[0, 0], images.dtype)
    return sums * scale[None, :, :, None].astype(images.dtype)


def global_avg_pool(images: Array) -> Array:
    """Return the mean of each channel over all pixels: `[B, H, W, C]` to `[B, C]`, same dtype."""
    _check(images)
    return images.mean((1, 2))


def blur_pool(
    images: Array,
    *,
    strides: int | Sequence[int] = 2,
    filter_size: int = 3,
    mode: str = "reflect",
) -> Array:
    """Blur with a binomial filter and keep every `strides`-th pixel.

    A network that subsamples this way is nearly invariant to shifts by a pixel (Zhang, "Making
    Convolutional Networks Shift-Invariant Again", 2019). The filter is the outer product of the
    row `filter_size - 1` of Pascal's triangle with itself, scaled to sum 1.

    Args:
      images: `[B, H, W, C]`, a float dtype.
      strides: steps (vertical, horizontal); an integer means both.
      filter_size: taps of the filter, at least 2.
      mode: what is beyond the border: "reflect" the image mirrored, "constant" zeros.

    Returns:
      `[B, H', W', C]`, the dtype of the images; `H' = ceil(H / stride)` for an odd filter.

    Raises:
      BadArgument: another rank, dtype or mode, a filter too large for the image to be mirrored.
    """
    _check(images)
    steps = pair("strides", strides)
    if not isinstance(filter_size, int) or filter_size < 2:
        raise BadArgument(f"filter_size: got {filter_size!r}; allowed: an integer of at least 2")
    # timm's amount, for a stride s: (s - 1 + filter_size - 1) // 2 on every side.
    pads = [(step + filter_size - 2) // 2 for step in steps]
    if mode not in ("reflect", "constant"):
        raise BadArgument(f'mode: got {mode!r}; allowed: "reflect", "constant"')
    mirrored = mode == "reflect"
    if mirrored and any(pad >= size for pad, size in zip(pads, images.shape[1:3], strict=True)):
        raise BadArgument(
            f"images: got shape {images.shape}; allowed: more than {max(pads)} pixels each way, "
            f"to be mirrored for a filter_size of {filter_size}"
        )
    weights = np.array([comb(filter_size - 1, k) for k in range(filter_size)], np.float64)
    weights /= weights.sum()
    images = jnp.pad(images, ((0, 0), *((pad, pad) for pad in pads), (0, 0)), mode=mode)
    for axis, step in enumerate(steps, start=1):
        images = _weighted_slices(images, axis, step, weights)
    return images


def _weighted_slices(images: Array, axis: int, step: int, weights: np.ndarray) -> Array:
    last = images.shape[axis] - len(weights)
    return sum(
        lax.slice_in_dim(images, k, k + last + 1, step, axis) * np.array(weight, images.dtype)
        for k, weight in enumerate(weights)
    )  # type: ignore[return-value]


def _check(images: Array) -> None:
    if images.ndim != 4:
        raise BadArgument(f"images: got shape {images.shape}; allowed: [B, H, W, C]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise BadArgument(f"images: got dtype {images.dtype}; allowed: a float dtype")


def _windows(
    images: Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] | None,
    padding: str | int | Sequence[int] | Sequence[Sequence[int]],
    ceil_mode: bool,
) -> tuple[Pair, Pair, Pads, Pair]:
    """Return window, strides, padding, and how much of the padding below and right is beyond.

    Beyond is what `ceil_mode` adds for its last window, which no count includes.
    """
    _check(images)
    image_size = images.shape[1], images.shape[2]
    size = pair("window", window)
    steps = size if strides is None else pair("strides", strides)
    pads = resolve_padding(padding, image_size, size, steps)
    # One window that begins inside is enough for ceil_mode, even if it is larger than the image.
    if not ceil_mode or any(
        n + sum(sides) + step <= taps
        for n, sides, step, taps in zip(image_size, pads, steps, size, strict=True)
    ):
        window_padding(padding, image_size, size, steps, name="window")
    for taps, sides in zip(size, pads, strict=True):
        if max(sides) >= taps:
            raise BadArgument(
                f"padding: got {padding!r}; allowed: less than the window {size[0]} x {size[1]}"
            )
    if not ceil_mode:
        return size, steps, pads, (0, 0)
    beyond = tuple(_beyond(*axis) for axis in zip(image_size, size, steps, pads, strict=True))
    (top, bottom), (left, right) = pads
    return size, steps, ((top, bottom + beyond[0]), (left, right + beyond[1])), beyond  # type: ignore[return-value]


def _beyond(size: int, taps: int, step: int, sides: Pair) -> int:
    padded = size + sum(sides)
    last = -(-(padded - taps) // step) * step
    # A window that would begin in the padding below is left out.
    if last >= size + sides[0]:
        last -= step
    return max(last + taps - padded, 0)


def _counts(
    size: int, taps: int, step: int, sides: Pair, beyond: int, include_pad: bool
) -> np.ndarray:
    """Return how many positions of each window of one axis count."""
    low, high = sides
    counted = np.concatenate(
        [
            np.full(low, include_pad),
            np.ones(size),
            np.full(high - beyond, include_pad),
            np.zeros(beyond),
        ]
    )
    return np.array([counted[k : k + taps].sum() for k in range(0, len(counted) - taps + 1, step)])
