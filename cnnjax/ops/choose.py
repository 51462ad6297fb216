"""Which form a convolution takes on a CPU, by its shapes."""

import math

import jax

from cnnjax.ops.forms import depthwise, direct, patches, pointwise, winograd
from cnnjax.ops.forms.blocks import images_per_block, merge_groups, slices_for, split_groups
from cnnjax.ops.geometry import Geometry, Layer
from cnnjax.typing import Array

__all__ = ["forward", "input_gradient", "kernel_gradient"]

# Bytes of a block's transformed tiles or of its patches, both operands. Winograd's kernel gradient,
# 512 channels, 4x4, 128 images: 42 ms at 6 MiB, 35 at 9, 30 at 12; its forward pass is as fast from
# 6 to 12. Patches, 16 to 32 channels, 32x32, stride 2, 128 images: 5 ms at 1.5 to 4 MiB, 7 at 6 and
# 9, 20 at 12; 3 to 64 channels, 7x7, 224x224, 8 images: 33 ms at 1 to 6 MiB, 57 above.
_WINOGRAD_BLOCK = 12 << 20
_PATCH_BLOCK = 4 << 20
# Groups are joined to at least this many channels. 3x3, 32 groups, 8 images, jax 0.12, forward /
# input gradient / kernel gradient in ms, joined to 16, 32, 64 and 128 (n = 5): 128 channels, 56x56
# 9/9/16, 9/9/21, 12/11/23, 15/15/20; 512 channels, 14x14 5/5/8, 4/4/7, 5/5/8, 7/6/11; 512 channels,
# 28x28, stride 2 10/9/10, 8/12/12, 9/15/14, 13/25/19.
_WIDTH = 16
# Least channels for Winograd's forward pass and input gradient; below, XLA's own convolution.
# Ours and XLA's in ms, 128 images, jax 0.12 (n = 11): 16 channels, 32x32 6.4 and 6.8; 32 channels,
# 16x16 2.8 and 3.9; 64 channels, 8x8 2.0 and 3.4. jax 0.10.2 multiplies batches of matrices at
# half the rate (n = 9): 32 channels, 16x16 12 and 7; 128 channels, 16x16 69 and 51; 256 channels,
# 8x8 40 and 54; steps of ResNet-18, -20 and -50 take as long (n = 5), but 100 to 160 MiB more.
_LEAST = (
    32 if jax.__version_info__ >= (0, 12) else 64 if jax.__version_info__ >= (0, 11) else math.inf
)


def forward(x: Array, w: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`.

    `partitioned`: the compiler spreads the program over several devices, so that a loop over
    blocks of the batch would collect the whole batch on every one of them.
    """
    geometry, size = layer.geometry, layer.output_size
    if _is_depthwise(x.shape[3], geometry):
        return depthwise.forward(x, w, layer)
    if _is_pointwise(layer):
        return pointwise.forward(x, w, layer)
    slices = slices_for(geometry.groups, x.shape[3], w.shape[3], _WIDTH)
    kernels = merge_groups(w, geometry.groups, slices)
    if m := _tile(w.shape, geometry, size, _LEAST):
        images = _winograd_images(x.shape, w.shape, m, size, slices, partitioned)
        return winograd.forward(x, kernels, layer, m=m, images=images)
    if geometry.groups == 1:
        return direct.forward(x, w, layer)
    images = _patch_images(x.shape, w.shape, size, slices, partitioned)
    return patches.forward(x, kernels, layer, images=images)


def input_gradient(g: Array, w: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Return the transpose of `forward` in the images, applied to `g` `[B, H', W', O]`."""
    geometry, x_shape = layer.geometry, layer.image_shape(g, w)
    if _is_depthwise(x_shape[3], geometry):
        return depthwise.input_gradient(g, w, layer)
    if _is_pointwise(layer):
        return pointwise.input_gradient(g, w, layer)
    slices = slices_for(geometry.groups, x_shape[3], w.shape[3], _WIDTH)
    kernels = merge_groups(w, geometry.groups, slices)
    if m := _tile(w.shape, geometry, layer.image_size, _LEAST):
        images = _winograd_images(x_shape, w.shape, m, layer.image_size, slices, partitioned)
        return winograd.input_gradient(g, kernels, layer, m=m, images=images)
    if geometry.groups == 1:
        return direct.input_gradient(g, w, layer)
    images = _patch_images(g.shape, w.shape, layer.image_size, slices, partitioned)
    return patches.input_gradient(g, kernels, layer, images=images)


def kernel_gradient(x: Array, g: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Return the transpose of `forward` in the kernel, applied to `g` `[B, H', W', O]`."""
    geometry, w_shape = layer.geometry, layer.kernel_shape(x, g)
    if _is_depthwise(x.shape[3], geometry):
        by = depthwise.kernel_gradient_by_tap if partitioned else depthwise.kernel_gradient
        return by(x, g, layer).astype(x.dtype)
    if _is_pointwise(layer):
        return pointwise.kernel_gradient(x, g, layer)
    size = g.shape[1:3]
    slices = slices_for(geometry.groups, x.shape[3], w_shape[3], _WIDTH)
    # 16 channels, 32x32, 128 images (jax 0.12, n = 5): patches 14.6 ms, Winograd 9.1; 12 and 48
    # channels, 64 images: 8.6 and 9.9.
    if m := _tile(w_shape, geometry, size, 16):
        images = _winograd_images(x.shape, w_shape, m, size, slices, partitioned)
        dense = winograd.kernel_gradient(x, g, layer, slices=slices, m=m, images=images)
    else:
        images = _patch_images(x.shape, w_shape, size, slices, partitioned)
        dense = patches.kernel_gradient(x, g, layer, slices=slices, images=images)
    return split_groups(dense, geometry.groups).astype(x.dtype)


def _is_depthwise(channels: int, geometry: Geometry) -> bool:
    return geometry.groups == channels > 1


def _is_pointwise(layer: Layer) -> bool:
    geometry = layer.geometry
    unpadded = geometry.groups == 1 and geometry.padding == ((0, 0), (0, 0))
    return unpadded and layer.kernel_size == (1, 1)


def _tile(w_shape: tuple[int, ...], geometry: Geometry, size: tuple[int, ...], least: float) -> int:
    """Return the m of Winograd's F(m x m, 3 x 3), or 0 below `least` channels and elsewhere."""
    if w_shape[:2] != (3, 3) or geometry.strides != (1, 1) or geometry.dilation != (1, 1):
        return 0
    if min(w_shape[2] * geometry.groups, w_shape[3]) < least:
        return 0
    cost = {m: math.prod(winograd.tile_counts(m, *size)) * (m + 2) ** 2 for m in (4, 2)}
    cost[0] = math.prod(size) * 9
    return min(cost, key=lambda m: cost[m])


def _winograd_images(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    m: int,
    size: tuple[int, ...],
    slices: int,
    partitioned: bool,
) -> int:
    if partitioned:
        return x_shape[0]
    tiles = math.prod(winograd.tile_counts(m, size[0], size[1]))
    per_image = tiles * (m + 2) ** 2 * 4 * (x_shape[3] + w_shape[3]) // slices
    return images_per_block(x_shape[0], per_image, _WINOGRAD_BLOCK)


def _patch_images(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    size: tuple[int, ...],
    slices: int,
    partitioned: bool,
) -> int:
    if partitioned:
        return x_shape[0]
    per_pixel = w_shape[1] * x_shape[3] + w_shape[3]
    per_image = math.prod(size) * 4 * per_pixel // slices
    return images_per_block(x_shape[0], per_image, _PATCH_BLOCK)
