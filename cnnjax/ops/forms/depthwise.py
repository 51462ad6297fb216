"""One kernel per channel: a sum of shifted images, elementwise."""

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops.forms import phases
from cnnjax.ops.forms.blocks import largest_divisor
from cnnjax.ops.geometry import Layer, Pads, Pair

__all__ = ["forward", "input_gradient", "kernel_gradient", "kernel_gradient_by_tap"]

# Products that one step of the kernel gradient's loop adds up; all taps of the kernel in one step
# take three times as long to compile (constants.csv of `cnnjax.ops.candidates`, "products of a
# step").
_PRODUCTS = 28
# Taps that may become one sum. XLA cuts longer sums wherever it likes, and writes single products
# to memory; a cut after each row of the kernel saves a third to a half ("taps of a sum" there), and
# more inside a network.
_FUSED = 9


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
    in_rows = kernel.shape[0] * kernel.shape[1] > _FUSED
    if in_rows:
        padded = lax.optimization_barrier(padded)
    total = jnp.zeros((), wide)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            shifted = _shifted(padded, i * dilation[0], j * dilation[1], size, strides)
            total = total + shifted.astype(wide) * kernel[i, j].astype(wide)[None, None, None]
        if in_rows:
            total = lax.optimization_barrier(total)
    return total.astype(x.dtype)


def _per_output(x: Array, multiplier: int) -> Array:
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)


def forward(x: Array, w: Array, layer: Layer) -> Array:
    """Convolve [B, H, W, C] with [kh, kw, 1, C * multiplier]."""
    (strides, padding, dilation, _), size = layer.geometry, layer.output_size
    x = _per_output(x, w.shape[3] // x.shape[3])
    return _correlate(x, w[:, :, 0], size, strides, padding, dilation)


def input_gradient(g: Array, w: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the images."""

    def correlate(g: Array, kernel: Array, size: Pair, padding: Pads, dilation: Pair) -> Array:
        if 0 in kernel.shape:  # fewer taps than strides: a phase that no tap reaches
            return jnp.zeros((g.shape[0], *size, g.shape[3]), g.dtype)
        return _correlate(g, kernel, size, (1, 1), padding, dilation)

    x = phases.input_gradient(g, w[:, :, 0], layer, correlate)
    channels = layer.geometry.groups
    multiplier = w.shape[3] // channels
    if multiplier == 1:
        return x
    return x.reshape(*x.shape[:3], channels, multiplier).sum(4)


def kernel_gradient_by_tap(x: Array, g: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the kernel: [kh, kw, 1, O], without a loop."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    geometry = layer.geometry
    (kh, kw), (dh, dw) = layer.kernel_size, geometry.dilation
    size, g = (g.shape[1], g.shape[2]), g.astype(wide)
    x = _pad(_per_output(x, g.shape[3] // x.shape[3]).astype(wide), geometry.padding)
    taps = [
        _shifted(x, i * dh, j * dw, size, geometry.strides) for i in range(kh) for j in range(kw)
    ]
    total = jnp.stack([(tap * g).sum((0, 1, 2)) for tap in taps])
    return total.reshape(kh, kw, 1, -1)


def kernel_gradient(x: Array, g: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the kernel: [kh, kw, 1, O].

    Loops over images, rows of the kernel and a few rows of `g` at a time add products up
    elementwise, one sum of [W', O] per tap of the kernel's row; the sum over W' follows once per
    image. A plain reduction of the products of a tap writes them to memory and takes eight times
    as long (constants.csv of `cnnjax.ops.candidates`, "sum of products").
    """
    wide = jnp.promote_types(x.dtype, jnp.float32)
    multiplier = g.shape[3] // x.shape[3]
    (sh, sw), padding, (dh, dw), _ = layer.geometry
    (kh, kw), (_, height, width, outputs) = layer.kernel_size, g.shape
    # Less than all rows: of a loop of one step XLA makes something slower.
    rows = largest_divisor(height, min(_PRODUCTS // kw, height - 1))
    span = (rows - 1) * sh + 1
    # Padded whole, as `forward` does it, the images of the forward pass serve here too: steps of
    # MobileNetV2 1.02, ShuffleNetV2 1.03 times as fast (n = 12). With larger kernels as well,
    # EfficientNet-B0 0.97 and ConvNeXt-T 0.79 times (n = 8).
    whole = kh * kw <= _FUSED
    if whole:
        x = _pad(x, padding)

    def one_image(image: Array, total: Array) -> Array:
        padded = _per_output(_block(x, 0, image, 1), multiplier).astype(wide)
        if not whole:
            padded = _pad(padded, padding)
        padded = lax.optimization_barrier(padded)
        g_image = _block(g, 0, image, 1).astype(wide)

        def one_kernel_row(i: Array, total: Array) -> Array:
            def some_rows(step: Array, sums: list[Array]) -> list[Array]:
                x_rows = _block(padded, 1, step * (rows * sh) + i * dh, span)[0]
                g_rows = _block(g_image, 1, step * rows, rows)[0]
                for j in range(kw):
                    columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
                    for row in range(rows):
                        sums[j] = sums[j] + x_rows[row * sh, columns] * g_rows[row]
                return sums

            zeros = [jnp.zeros((width, outputs), wide)] * kw
            sums = lax.fori_loop(0, height // rows, some_rows, zeros)
            added = _block(total, 0, i, 1) + jnp.stack([s.sum(0) for s in sums])[None]
            start = (i, 0, 0)
            return lax.dynamic_update_slice(total, added, start, allow_negative_indices=False)

        return lax.fori_loop(0, kh, one_kernel_row, total)

    zero = jnp.zeros((kh, kw, outputs), wide)
    return lax.fori_loop(0, x.shape[0], one_image, zero)[:, :, None].astype(x.dtype)


def _block(x: Array, axis: int, start: Array, size: int) -> Array:
    return lax.dynamic_slice_in_dim(x, start, size, axis, allow_negative_indices=False)
