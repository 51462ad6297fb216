"""The stock convolution and its two transposes: what every backend but the CPU runs."""

import jax
from jax import lax

from cnnjax.ops.geometry import Geometry
from cnnjax.typing import Array

__all__ = ["forward", "input_gradient", "kernel_gradient"]

LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(x: Array, w: Array, geometry: Geometry, precision: lax.PrecisionLike = None) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`."""
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
    g: Array,
    w: Array,
    geometry: Geometry,
    x_shape: tuple[int, ...],
    precision: lax.PrecisionLike = None,
) -> Array:
    """Return the transpose of `forward` in the images, applied to `g` `[B, H', W', O]`."""
    x = jax.ShapeDtypeStruct(x_shape, g.dtype)
    return jax.linear_transpose(lambda x: forward(x, w, geometry, precision), x)(g)[0]


def kernel_gradient(
    x: Array,
    g: Array,
    geometry: Geometry,
    w_shape: tuple[int, ...],
    precision: lax.PrecisionLike = None,
) -> Array:
    """Return the transpose of `forward` in the kernel, applied to `g` `[B, H', W', O]`."""
    w = jax.ShapeDtypeStruct(w_shape, g.dtype)
    return jax.linear_transpose(lambda w: forward(x, w, geometry, precision), w)(g)[0]
