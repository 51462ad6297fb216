"""Matrix products of patches, a few images at a time: any dense kernel, stride and dilation.

The taps of a kernel's row are joined along the channels, [n, H, W', kw * C]; a row of the kernel
is then one matrix product. With few channels all taps are joined and the kernel is one product.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops.forms.blocks import map_blocks, sum_blocks
from cnnjax.ops.geometry import Layer, Pads, Pair

__all__ = ["Window", "correlate", "forward", "input_gradient", "kernel_gradient"]

# Below this many values in a row of taps, a product per row would be too thin.
_JOIN_ALL = 64


class Window(NamedTuple):
    """Strides, padding (negative crops) and dilation of one dense convolution."""

    strides: Pair
    padding: Pads
    dilation: Pair


def _pad(x: Array, padding: Pads) -> Array:
    (top, bottom), (left, right) = padding
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, [(0, 0, 0), (top, bottom, 0), (left, right, 0), (0, 0, 0)])


def _every(x: Array, axis: int, start: int, count: int, step: int) -> Array:
    return lax.slice_in_dim(x, start, start + (count - 1) * step + 1, step, axis)


def _taps(x: Array, kernel_size: Pair, size: Pair, window: Window) -> list[Array]:
    """Return the patches of each row of taps, [n, H', W', kw * C], or all joined as one."""
    (sh, sw), padding, (dh, dw) = window
    x = _pad(x, padding)
    columns = [_every(x, 2, j * dw, size[1], sw) for j in range(kernel_size[1])]
    joined = jnp.concatenate(columns, axis=3)
    rows = [_every(joined, 1, i * dh, size[0], sh) for i in range(kernel_size[0])]
    if joined.shape[3] < _JOIN_ALL and len(rows) > 1:
        return [jnp.concatenate(rows, axis=3)]
    return rows


def correlate(x: Array, kernel: Array, size: Pair, window: Window) -> Array:
    """Convolve [n, H, W, C] with a dense kernel [kh, kw, C, O] to [n, *size, O]."""
    taps = _taps(x, (kernel.shape[0], kernel.shape[1]), size, window)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    products = [
        lax.dot_general(tap, part, (((3,), (0,)), ((), ())), preferred_element_type=wide)
        for tap, part in zip(taps, kernel.reshape(len(taps), -1, kernel.shape[3]), strict=True)
    ]
    return sum(products[1:], start=products[0]).astype(x.dtype)


def forward(x: Array, kernels: Array, layer: Layer, *, images: int) -> Array:
    """Convolve with one dense kernel per slice of channels.

    x: [B, H, W, S * C]; kernels: [S, kh, kw, C, O]. Returns [B, H', W', S * O].
    """
    window, size = Window(*layer.geometry[:3]), layer.output_size
    return map_blocks(lambda x, k: correlate(x, k, size, window), x, kernels, images)


def input_gradient(g: Array, kernels: Array, layer: Layer, *, images: int) -> Array:
    """Return the transpose of `forward` in the images.

    With stride s the pixels of the result fall into s * s phases; each is a convolution of `g`
    without stride, and all of them together are one with s * s times the channels.
    """
    geometry, image_size = layer.geometry, layer.image_size
    strides = geometry.strides
    slices, kh, kw, inner, outer = kernels.shape
    dilation = geometry.dilation
    if strides != (1, 1) and dilation != (1, 1):
        zero = jnp.zeros((), kernels.dtype)
        spread = [(0, 0, 0), (0, 0, dilation[0] - 1), (0, 0, dilation[1] - 1), *[(0, 0, 0)] * 2]
        kernels = lax.pad(kernels, zero, spread)
        kh, kw, dilation = *kernels.shape[1:3], (1, 1)
    taps = -(-kh // strides[0]), -(-kw // strides[1])
    kernels = jnp.pad(
        kernels,
        ((0, 0), (0, taps[0] * strides[0] - kh), (0, taps[1] * strides[1] - kw), (0, 0), (0, 0)),
    )
    kernels = kernels.reshape(slices, taps[0], strides[0], taps[1], strides[1], inner, outer)
    kernels = kernels[:, ::-1, :, ::-1].transpose(0, 1, 3, 6, 2, 4, 5)
    kernels = kernels.reshape(slices, *taps, outer, strides[0] * strides[1] * inner)

    size, padding, crop = [], [], []
    for pixels, count, step, tap, spread, (low, _) in zip(
        image_size, g.shape[1:3], strides, taps, dilation, geometry.padding, strict=True
    ):
        first, last = low // step, (pixels - 1 + low) // step
        before = (tap - 1) * spread - first
        size.append(last - first + 1)
        padding.append((before, size[-1] + (tap - 1) * spread - count - before))
        crop.append(low - first * step)
    window = Window((1, 1), (padding[0], padding[1]), dilation)

    def block(g: Array, kernel: Array) -> Array:
        x = correlate(g, kernel, (size[0], size[1]), window)
        if strides == (1, 1):
            return x
        x = x.reshape(-1, *size, *strides, inner).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, size[0] * strides[0], size[1] * strides[1], inner)
        x = lax.slice_in_dim(x, crop[0], crop[0] + image_size[0], axis=1)
        return lax.slice_in_dim(x, crop[1], crop[1] + image_size[1], axis=2)

    return map_blocks(block, g, kernels, images)


def kernel_gradient(x: Array, g: Array, layer: Layer, *, slices: int, images: int) -> Array:
    """Return the transpose of `forward` in the kernels: [S, kh, kw, C, O], float32 or wider.

    The patches are those of `x`, or without stride those of `g` if it has fewer channels.
    """
    geometry, kernel_size = layer.geometry, layer.kernel_size
    window = Window(*geometry[:3])
    wide = jnp.promote_types(x.dtype, jnp.float32)
    inner, outer = x.shape[3] // slices, g.shape[3] // slices

    def product(a: Array, b: Array) -> Array:
        contract = (((0, 1, 2), (0, 1, 2)), ((), ()))
        return lax.dot_general(a, b, contract, preferred_element_type=wide)

    def from_images(x: Array, g: Array) -> Array:
        taps = _taps(x, kernel_size, (g.shape[1], g.shape[2]), window)
        return jnp.stack([product(tap, g) for tap in taps])

    def from_cotangents(x: Array, g: Array) -> Array:
        (top, _), (left, _) = geometry.padding
        (kh, kw), (dh, dw), (_, h, w, _) = kernel_size, geometry.dilation, x.shape
        low = (kh - 1) * dh - top, (kw - 1) * dw - left
        high = h + top - g.shape[1], w + left - g.shape[2]
        g = _pad(g, ((low[0], high[0]), (low[1], high[1])))
        columns = [g[:, :, j : j + w] for j in range((kw - 1) * dw, -1, -dw)]
        joined = jnp.concatenate(columns, axis=3)
        rows = [joined[:, i : i + h] for i in range((kh - 1) * dh, -1, -dh)]
        return product(x, jnp.concatenate(rows, axis=3))

    if geometry.strides != (1, 1) or outer > inner:
        total = sum_blocks(from_images, x, g, slices, images)
        return total.reshape(slices, *kernel_size, inner, outer)
    total = sum_blocks(from_cotangents, x, g, slices, images)
    return total.reshape(slices, inner, *kernel_size, outer).transpose(0, 2, 3, 1, 4)
