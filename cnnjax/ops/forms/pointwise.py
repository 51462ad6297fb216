"""1x1 kernels without padding: one matrix product over all positions."""

import jax.numpy as jnp
from jax import Array, lax

from cnnjax.ops.geometry import Layer

__all__ = ["forward", "input_gradient", "kernel_gradient"]


def _strided(x: Array, layer: Layer) -> Array:
    sh, sw = layer.geometry.strides
    return x if (sh, sw) == (1, 1) else x[:, ::sh, ::sw]


def _product(a: Array, b: Array, contract: tuple[tuple[int, ...], tuple[int, ...]]) -> Array:
    wide = jnp.promote_types(a.dtype, jnp.float32)
    return lax.dot_general(a, b, (contract, ((), ())), preferred_element_type=wide).astype(a.dtype)


def forward(x: Array, w: Array, layer: Layer) -> Array:
    """Convolve [B, H, W, C] with [1, 1, C, O]."""
    return _product(_strided(x, layer), w[0, 0], ((3,), (0,)))


def input_gradient(g: Array, w: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the images: zeros between the strides."""
    # The kernel's gradient needs `g` whole as well: without this XLA would compute it twice.
    g = lax.optimization_barrier(g)
    x = _product(g, w[0, 0], ((3,), (1,)))
    if x.shape[1:3] == layer.image_size:
        return x
    edges = [(0, 0, 0), *_between(x, layer), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def _between(x: Array, layer: Layer) -> list[tuple[int, int, int]]:
    sizes = layer.image_size, x.shape[1:3], layer.geometry.strides
    return [
        (0, pixels - (count - 1) * step - 1, step - 1)
        for pixels, count, step in zip(*sizes, strict=True)
    ]


def kernel_gradient(x: Array, g: Array, layer: Layer) -> Array:
    """Return the transpose of `forward` in the kernel: [1, 1, C, O].

    XLA transposes the first operand, so that is the narrower one; and it would compute whatever
    made the operand in transposed order, which takes up to ten times as long (constants.csv of
    `cnnjax.ops.candidates`, "pointwise operands"), so both are whole before.
    """
    x, g = lax.optimization_barrier((_strided(x, layer), g))
    contract = ((0, 1, 2), (0, 1, 2))
    if x.shape[3] <= g.shape[3]:
        return _product(x, g, contract)[None, None]
    # Turned afterwards: a product with turned output takes XLA's slower path.
    return lax.optimization_barrier(_product(g, x, contract)).T[None, None]
