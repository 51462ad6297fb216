"""The input gradient of a strided convolution, phase by phase."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops.geometry import Layer, Pads, Pair

__all__ = ["input_gradient"]

Correlate = Callable[[Array, Array, Pair, Pads, Pair], Array]
"""`(g, kernel, size, padding, dilation)` to the correlation without stride `[B, *size, C]`."""


def input_gradient(g: Array, w: Array, layer: Layer, correlate: Correlate) -> Array:
    """Return the transpose of a convolution in the images, [B, *image_size, C].

    Pixel p along an axis receives `g[y] * w[i]` where `p = s * y + d * i - low`. With stride s the
    pixels of one remainder modulo s, a phase, see every s-th tap only, and each phase is a
    correlation of `g` `[B, H', W', O]` with those taps of `w` `[kh, kw, ...]`, turned around.
    """
    ((sh, sw), padding, dilation, _), image_size = layer.geometry, layer.image_size
    if (sh, sw) != (1, 1) and dilation != (1, 1):
        zero = jnp.zeros((), w.dtype)
        between = [(0, 0, dilation[0] - 1), (0, 0, dilation[1] - 1)]
        w = lax.pad(w, zero, [*between, *[(0, 0, 0)] * (w.ndim - 2)])
        dilation = (1, 1)
    (top, _), (left, _) = padding
    size = (-(-image_size[0] // sh), -(-image_size[1] // sw))

    def phase(i: int, j: int) -> Array:
        taps = w[i::sh, j::sw]
        # The first pixel of the phase is the last that the output's pixel `first` reaches.
        first = (-((i - top) // sh), -((j - left) // sw))
        around = [
            ((taps.shape[axis] - 1) * dilation[axis] - first[axis],
             first[axis] + size[axis] - g.shape[1 + axis])
            for axis in (0, 1)
        ]  # fmt: skip
        return correlate(g, taps[::-1, ::-1], size, (around[0], around[1]), dilation)

    # The first tap of each phase, in the order of the pixels 0, 1, ... that see it.
    rows, columns = ([(p + low) % s for p in range(s)] for low, s in ((top, sh), (left, sw)))
    if (sh, sw) == (1, 1):
        return phase(rows[0], columns[0])
    x = jnp.stack([jnp.stack([phase(i, j) for j in columns], axis=3) for i in rows], axis=2)
    x = x.reshape(x.shape[0], x.shape[1] * sh, x.shape[3] * sw, x.shape[5])
    return x[:, : image_size[0], : image_size[1]]
