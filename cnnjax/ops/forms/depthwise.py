"""One kernel per channel: a sum of shifted images, elementwise."""

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops.geometry import Geometry, Pads, Pair

__all__ = ["forward", "input_gradient", "kernel_gradient"]


def _pad(x: Array, padding: Pads) -> Array:
    (top, bottom), (left, right) = padding
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)])


def _shifted(x: Array, i: int, j: int, size: Pair, strides: Pair) -> Array:
    (h, w), (sh, sw) = size, strides
    return x[:, i : i + (h - 1) * sh + 1 : sh, j : j + (w - 1) * sw + 1 : sw]


def _correlate(
    x: Array, kernel: Array, size: Pair, strides: Pair, padding: Pads, dilation: Pair
) -> Array:
    """x: [B, H, W, C], kernel: [kh, kw, C]. Returns [B, *size, C]."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    padded = _pad(x, padding)
    total = jnp.zeros((), wide)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            shifted = _shifted(padded, i * dilation[0], j * dilation[1], size, strides)
            total = total + shifted.astype(wide) * kernel[i, j].astype(wide)[None, None, None]
    return total.astype(x.dtype)


def _per_output(x: Array, multiplier: int) -> Array:
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)


def forward(x: Array, w: Array, geometry: Geometry) -> Array:
    """Convolve [B, H, W, C] with [kh, kw, 1, C * multiplier]."""
    size = geometry.output_size(x.shape[1:3], w.shape[:2])
    x = _per_output(x, w.shape[3] // x.shape[3])
    return _correlate(x, w[:, :, 0], size, geometry.strides, geometry.padding, geometry.dilation)


def input_gradient(g: Array, w: Array, geometry: Geometry, x_shape: tuple[int, ...]) -> Array:
    """Return the transpose of `forward` in the images."""
    (sh, sw), channels = geometry.strides, x_shape[3]
    kernel = w[::-1, ::-1, 0]
    (kh, kw), (dh, dw) = w.shape[:2], geometry.dilation
    if (sh, sw) != (1, 1):
        g = lax.pad(
            g, jnp.zeros((), g.dtype), [(0, 0, 0), (0, 0, sh - 1), (0, 0, sw - 1), (0, 0, 0)]
        )
    padding = []
    for pixels, count, taps, spread, (low, _) in zip(
        x_shape[1:3], g.shape[1:3], (kh, kw), (dh, dw), geometry.padding, strict=True
    ):
        before = (taps - 1) * spread - low
        padding.append((before, pixels + (taps - 1) * spread - before - count))
    size = (x_shape[1], x_shape[2])
    x = _correlate(g, kernel, size, (1, 1), (padding[0], padding[1]), (dh, dw))
    multiplier = w.shape[3] // channels
    if multiplier == 1:
        return x
    return x.reshape(*x.shape[:3], channels, multiplier).sum(4)


def kernel_gradient(x: Array, g: Array, geometry: Geometry, kernel_size: Pair) -> Array:
    """Return the transpose of `forward` in the kernel: [kh, kw, 1, O]."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    padded = _per_output(_pad(x, geometry.padding), g.shape[3] // x.shape[3])
    (dh, dw), size = geometry.dilation, (g.shape[1], g.shape[2])
    taps = [
        # Per image first: a sum over all positions at once would run on one thread.
        (_shifted(padded, i * dh, j * dw, size, geometry.strides) * g.astype(wide))
        .sum((1, 2))
        .sum(0)
        for i in range(kernel_size[0])
        for j in range(kernel_size[1])
    ]
    return jnp.stack(taps).reshape(*kernel_size, 1, g.shape[3]).astype(x.dtype)
