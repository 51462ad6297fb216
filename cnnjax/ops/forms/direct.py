"""The input gradient by XLA's own convolution, in the one arrangement that a CPU computes fast.

The stock input gradient turns its kernel inside the operation, which XLA only recognises outside of
loops: in a loop's body it is 10 to 30 times slower. Here the kernel is turned before, behind a
barrier, and a strided gradient is one convolution per phase instead of one over zeros
(experiments/results/bench_operations/constants.csv, "input gradient").
"""

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops import xla
from cnnjax.ops.forms import phases
from cnnjax.ops.geometry import Geometry, Layer, Pads, Pair

__all__ = ["input_gradient"]


def input_gradient(g: Array, w: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the images, [B, H, W, C]."""
    return phases.input_gradient(g, w, layer, _correlate)


def _correlate(g: Array, kernel: Array, size: Pair, padding: Pads, dilation: Pair) -> Array:
    if 0 in kernel.shape:  # fewer taps than strides: a phase that no tap reaches
        return jnp.zeros((g.shape[0], *size, kernel.shape[2]), g.dtype)
    kernel = lax.optimization_barrier(kernel.swapaxes(2, 3))
    geometry = Geometry((1, 1), padding, dilation, 1)
    return xla.forward(
        g, kernel, Layer(geometry, (g.shape[1], g.shape[2]), (kernel.shape[0], kernel.shape[1]))
    )
