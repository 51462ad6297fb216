"""The stock convolution and its two transposes: what every backend but the CPU runs."""

import jax
from jax import lax

from cnnjax.ops.geometry import Layer
from cnnjax.typing import Array

__all__ = ["forward", "input_gradient", "kernel_gradient"]

LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(x: Array, w: Array, layer: Layer, *, precision: lax.PrecisionLike = None) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`."""
    geometry = layer.geometry
    return lax.conv_general_dilated(
        x,
        w,
        geometry.strides,
        geometry.padding,
        rhs_dilation=geometry.dilation,
        dimension_numbers=LAYOUT,
        feature_group_count=geometry.groups,
        precision=precision,
    )


def input_gradient(
    g: Array, w: Array, layer: Layer, *, precision: lax.PrecisionLike = None
) -> Array:
    """Return the transpose of `forward` in the images, applied to `g` `[B, H', W', O]`."""
    x = jax.ShapeDtypeStruct(layer.image_shape(g, w), g.dtype)
    return jax.linear_transpose(lambda x: forward(x, w, layer, precision=precision), x)(g)[0]


def kernel_gradient(
    x: Array, g: Array, layer: Layer, *, precision: lax.PrecisionLike = None
) -> Array:
    """Return the transpose of `forward` in the kernel, applied to `g` `[B, H', W', O]`."""
    w = jax.ShapeDtypeStruct(layer.kernel_shape(x, g), g.dtype)
    return jax.linear_transpose(lambda w: forward(x, w, layer, precision=precision), w)(g)[0]
