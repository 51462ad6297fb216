"""Pooling to a fixed size, whatever the size of the image."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.ops.geometry import pair
from cnnjax.typing import Array

__all__ = ["adaptive_avg_pool"]


def adaptive_avg_pool(images: Array, size: int | Sequence[int]) -> Array:
    """Return the means over a grid of `size` windows that cover the image.

    Window `i` of `n` along an axis of `N` pixels is `floor(i N / n) : ceil((i + 1) N / n)`, as in
    PyTorch: windows overlap where `n` does not divide `N`, and repeat pixels where `n > N`.

    Args:
      images: `[B, H, W, C]`, a float dtype.
      size: height and width of the result; an integer means a square.

    Returns:
      `[B, *size, C]`, the dtype of the images.

    Raises:
      BadArgument: another rank or dtype, a size below 1.
    """
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise BadArgument(
            f"images: got {images.dtype}{list(images.shape)}; allowed: a float [B, H, W, C]"
        )
    height, width = pair("size", size)
    if images.shape[1:3] == (height, width):
        return images
    rows, columns = _windows(images.shape[1], height), _windows(images.shape[2], width)
    wide = jnp.promote_types(images.dtype, jnp.float32)
    # A product with a constant matrix per axis: exact for every size, and its own transpose is
    # the gradient. "highest" because an accelerator would otherwise round the images.
    means = jnp.einsum(
        "ih,jw,bhwc->bijc",
        rows.astype(wide),
        columns.astype(wide),
        images,
        precision="highest",
        preferred_element_type=wide,
    )
    return means.astype(images.dtype)


def _windows(pixels: int, windows: int) -> np.ndarray:
    """Return `[windows, pixels]`: 1 / length inside the window, else 0."""
    index, position = np.arange(windows)[:, None], np.arange(pixels)[None, :]
    first, last = index * pixels // windows, -(-(index + 1) * pixels // windows)
    inside = (position >= first) & (position < last)
    return inside / (last - first)
