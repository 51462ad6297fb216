"""Every form that a convolution or a gradient can take on a CPU, with one signature.

A form of the forward pass takes `(images, kernel)`, one of the input gradient `(g, kernel)`, one of
the kernel gradient `(images, g)`; then a layer, and `partitioned`: the compiler spreads the program
over several devices, so that a loop over blocks of the batch would collect the whole batch on every
one of them. Figures of what is said here: experiments/results/bench_operations/constants.csv.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from cnnjax.ops import xla
from cnnjax.ops.forms import depthwise, direct, patches, pointwise, winograd
from cnnjax.ops.forms.blocks import images_per_block, merge_groups, slices_for, split_groups
from cnnjax.ops.geometry import Layer, Pair
from cnnjax.typing import Array

__all__ = ["CANDIDATES", "Form", "Program", "is_depthwise", "is_pointwise", "is_three", "tile"]

# Bytes of a block's transformed tiles or of its patches, both operands: the column `constant`,
# "winograd block" and "patch block".
_WINOGRAD_BLOCK = 12 << 20
_PATCH_BLOCK = 4 << 20
# Groups are joined to at least this many channels: "joined channels".
_WIDTH = 16


class Program(Protocol):
    """Computes one operation of a layer."""

    def __call__(self, a: Array, b: Array, layer: Layer, /, *, partitioned: bool) -> Array:
        """Return the operation's result for its two operands."""


class Form(NamedTuple):
    """A program, and whether it can compute a layer whose images have so many channels."""

    fits: Callable[[Layer, int], bool]
    program: Program


def is_depthwise(layer: Layer, channels: int) -> bool:
    """Tell whether every channel is a group of its own."""
    return layer.geometry.groups == channels > 1


def is_pointwise(layer: Layer) -> bool:
    """Tell whether a layer is a matrix product of every pixel, or of some in each direction."""
    unpadded = layer.geometry.groups == 1 and layer.geometry.padding == ((0, 0), (0, 0))
    return unpadded and layer.kernel_size == (1, 1)


def is_three(layer: Layer) -> bool:
    """Tell whether Winograd's 3x3 filters of stride 1 are those of a layer."""
    geometry = layer.geometry
    return layer.kernel_size == (3, 3) and geometry.strides == geometry.dilation == (1, 1)


def tile(size: Pair) -> int:
    """Return the m of Winograd's F(m x m, 3 x 3) on results of a size; 0 if none saves products."""
    cost = {m: math.prod(winograd.tile_counts(m, *size)) * (m + 2) ** 2 for m in (4, 2)}
    cost[0] = math.prod(size) * 9
    return min(cost, key=lambda m: cost[m])


def _forward_by_winograd(x: Array, w: Array, layer: Layer, *, partitioned: bool) -> Array:
    size, slices = layer.output_size, _slices(layer, x.shape[3], w.shape[3])
    kernels = merge_groups(w, layer.geometry.groups, slices)
    images = _winograd_images(x.shape, w.shape, size, slices, partitioned)
    return winograd.forward(x, kernels, layer, m=tile(size), images=images)


def _forward_by_patches(x: Array, w: Array, layer: Layer, *, partitioned: bool) -> Array:
    slices = _slices(layer, x.shape[3], w.shape[3])
    kernels = merge_groups(w, layer.geometry.groups, slices)
    images = _patch_images(x.shape, w.shape, layer.output_size, slices, partitioned)
    return patches.forward(x, kernels, layer, images=images)


def _input_gradient_by_winograd(g: Array, w: Array, layer: Layer, *, partitioned: bool) -> Array:
    size, x_shape = layer.image_size, layer.image_shape(g, w)
    slices = _slices(layer, x_shape[3], w.shape[3])
    kernels = merge_groups(w, layer.geometry.groups, slices)
    images = _winograd_images(x_shape, w.shape, size, slices, partitioned)
    return winograd.input_gradient(g, kernels, layer, m=tile(size), images=images)


def _input_gradient_by_patches(g: Array, w: Array, layer: Layer, *, partitioned: bool) -> Array:
    slices = _slices(layer, layer.image_shape(g, w)[3], w.shape[3])
    kernels = merge_groups(w, layer.geometry.groups, slices)
    images = _patch_images(g.shape, w.shape, layer.image_size, slices, partitioned)
    return patches.input_gradient(g, kernels, layer, images=images)


def _kernel_gradient_by_winograd(x: Array, g: Array, layer: Layer, *, partitioned: bool) -> Array:
    size, w_shape = layer.output_size, layer.kernel_shape(x, g)
    slices = _slices(layer, x.shape[3], w_shape[3])
    images = _winograd_images(x.shape, w_shape, size, slices, partitioned)
    dense = winograd.kernel_gradient(x, g, layer, slices=slices, m=tile(size), images=images)
    return split_groups(dense, layer.geometry.groups).astype(x.dtype)


def _kernel_gradient_by_patches(x: Array, g: Array, layer: Layer, *, partitioned: bool) -> Array:
    w_shape = layer.kernel_shape(x, g)
    slices = _slices(layer, x.shape[3], w_shape[3])
    images = _patch_images(x.shape, w_shape, layer.output_size, slices, partitioned)
    dense = patches.kernel_gradient(x, g, layer, slices=slices, images=images)
    return split_groups(dense, layer.geometry.groups).astype(x.dtype)


def _kernel_gradient_depthwise(x: Array, g: Array, layer: Layer, *, partitioned: bool) -> Array:
    by = depthwise.kernel_gradient_by_tap if partitioned else depthwise.kernel_gradient
    return by(x, g, layer).astype(x.dtype)


def _slices(layer: Layer, channels: int, outputs: int) -> int:
    return slices_for(layer.geometry.groups, channels, outputs, _WIDTH)


def _winograd_images(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, slices: int, partitioned: bool
) -> int:
    if partitioned:
        return x_shape[0]
    m = tile(size)
    tiles = math.prod(winograd.tile_counts(m, *size))
    per_image = tiles * (m + 2) ** 2 * 4 * (x_shape[3] + w_shape[3]) // slices
    return images_per_block(x_shape[0], per_image, _WINOGRAD_BLOCK)


def _patch_images(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], size: Pair, slices: int, partitioned: bool
) -> int:
    if partitioned:
        return x_shape[0]
    per_pixel = w_shape[1] * x_shape[3] + w_shape[3]
    per_image = math.prod(size) * 4 * per_pixel // slices
    return images_per_block(x_shape[0], per_image, _PATCH_BLOCK)


def _whole(function: Callable[[Array, Array, Layer], Array]) -> Program:
    """Return the program of a form that knows no blocks of the batch."""

    def program(a: Array, b: Array, layer: Layer, *, partitioned: bool) -> Array:
        return function(a, b, layer)

    return program


def _anything(layer: Layer, channels: int) -> bool:
    return True


def _product(layer: Layer, channels: int) -> bool:
    return is_pointwise(layer)


def _dense(layer: Layer, channels: int) -> bool:
    return layer.geometry.groups == 1


def _patched(layer: Layer, channels: int) -> bool:
    return not is_depthwise(layer, channels) and not is_pointwise(layer)


def _of_outputs(layer: Layer, channels: int) -> bool:
    return is_three(layer) and not is_depthwise(layer, channels) and tile(layer.output_size) > 0


def _of_images(layer: Layer, channels: int) -> bool:
    return is_three(layer) and not is_depthwise(layer, channels) and tile(layer.image_size) > 0


CANDIDATES: Mapping[str, Mapping[str, Form]] = {
    "forward": {
        "depthwise": Form(is_depthwise, _whole(depthwise.forward)),
        "pointwise": Form(_product, _whole(pointwise.forward)),
        "winograd": Form(_of_outputs, _forward_by_winograd),
        "patches": Form(_patched, _forward_by_patches),
        "stock": Form(_anything, _whole(xla.forward)),
    },
    "input_gradient": {
        "depthwise": Form(is_depthwise, _whole(depthwise.input_gradient)),
        "pointwise": Form(_product, _whole(pointwise.input_gradient)),
        "winograd": Form(_of_images, _input_gradient_by_winograd),
        "patches": Form(_patched, _input_gradient_by_patches),
        "direct": Form(_dense, _whole(direct.input_gradient)),
        "stock": Form(_anything, _whole(xla.input_gradient)),
    },
    "kernel_gradient": {
        "depthwise": Form(is_depthwise, _kernel_gradient_depthwise),
        "pointwise": Form(_product, _whole(pointwise.kernel_gradient)),
        "winograd": Form(_of_outputs, _kernel_gradient_by_winograd),
        "patches": Form(_patched, _kernel_gradient_by_patches),
        "stock": Form(_anything, _whole(xla.kernel_gradient)),
    },
}
"""The forms of each operation by name; `stock` is XLA's own and computes anything."""
