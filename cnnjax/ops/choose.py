"""Which form a convolution takes on a CPU, by its shapes."""

from cnnjax.ops import xla
from cnnjax.ops.geometry import Geometry
from cnnjax.typing import Array

__all__ = ["forward", "input_gradient", "kernel_gradient"]


def forward(x: Array, w: Array, geometry: Geometry, *, partitioned: bool = False) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`.

    `partitioned`: the compiler spreads the program over several devices, so that a loop over
    blocks of the batch would collect the whole batch on every one of them.
    """
    return xla.forward(x, w, geometry)


def input_gradient(
    g: Array, w: Array, geometry: Geometry, x_shape: tuple[int, ...], *, partitioned: bool = False
) -> Array:
    """Return the transpose of `forward` in the images, applied to `g` `[B, H', W', O]`."""
    return xla.input_gradient(g, w, geometry, x_shape)


def kernel_gradient(
    x: Array, g: Array, geometry: Geometry, w_shape: tuple[int, ...], *, partitioned: bool = False
) -> Array:
    """Return the transpose of `forward` in the kernel, applied to `g` `[B, H', W', O]`."""
    return xla.kernel_gradient(x, g, geometry, w_shape)
