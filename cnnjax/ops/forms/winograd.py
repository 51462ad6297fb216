"""Winograd's minimal filtering for 3x3 kernels with stride 1: F(m x m, 3 x 3), m = 2 or 4.

Tiles of m x m outputs need (m + 2)^2 products per pair of channels instead of 9 m^2, and the
products of all tiles are one batched matrix product. S. Winograd, Arithmetic Complexity of
Computations (1980); A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks,
arXiv:1509.09308.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnnjax.ops.forms.blocks import map_blocks, sum_blocks
from cnnjax.ops.geometry import Layer, Pads, output_size

__all__ = [
    "Transforms",
    "combine",
    "combine_first",
    "forward",
    "input_gradient",
    "kernel_gradient",
    "tile_counts",
    "transforms",
]


# Points at which the polynomials are evaluated, besides infinity. Symmetric pairs around 1 keep
# the error of m = 4 at 1.2e-6 relative; the usual (0, 1, -1, 2, -2) gives 2.4e-6 (128 channels).
_POINTS = {
    2: (Fraction(0), Fraction(1), Fraction(-1)),
    4: (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)),
}

# Whether a batch of products wants its first operand turned before, and whole: constants.csv of
# `cnnjax.ops.candidates`, "winograd operand".
_TURN = jax.__version_info__ >= (0, 11)


class Transforms(NamedTuple):
    """The matrices of F(m, 3) in one dimension, q = m + 2 points.

    inputs: [q, q], of x; kernel: [q, 3], of w; outputs: [m, q], of the products to y;
    gradient: [q, m], of g; and taps: [3, q], of the products of x and g to the kernel gradient.
    """

    inputs: np.ndarray
    kernel: np.ndarray
    outputs: np.ndarray
    gradient: np.ndarray
    taps: np.ndarray


@cache
def transforms(m: int) -> Transforms:
    """Return the transforms of F(m, 3) by the Toom-Cook construction."""
    q = m + 2

    def evaluate(terms: int) -> np.ndarray:
        rows = [[float(p**k) for k in range(terms)] for p in _POINTS[m]]
        return np.array([*rows, [0.0] * (terms - 1) + [1.0]])

    inverse = np.linalg.inv(evaluate(q)).T
    inverse[np.abs(inverse) < 1e-12] = 0.0
    # Powers of two between the transforms of inputs and kernel: exact, and keep both near 1.
    scale = 2.0 ** np.round(np.log2(np.abs(inverse).max(axis=1, keepdims=True)))
    kernel = evaluate(3) * scale
    return Transforms(inverse / scale, kernel, evaluate(m).T, evaluate(m), kernel.T)


def combine(matrix: np.ndarray, arrays: Sequence[Array], axis: int) -> Array:
    """Return the linear combinations of equal-shaped arrays in a matrix's rows, along a new axis.

    One broadcast sum: a stack of separate sums takes LLVM several times as long to compile.
    """
    shape = [1] * (arrays[0].ndim + 1)
    shape[axis] = matrix.shape[0]
    columns = matrix.T.astype(arrays[0].dtype).reshape(-1, *shape)
    terms = [
        column * lax.expand_dims(a, (axis,)) for column, a in zip(columns, arrays, strict=True)
    ]
    return sum(terms[1:], start=terms[0])


def combine_first(matrix: np.ndarray, arrays: Sequence[Array], axis: int) -> Array:
    """`combine` for the first of two dimensions: XLA must not fuse both into one sum of q * q."""
    return lax.optimization_barrier(combine(matrix, arrays, axis))


def _input_tiles(x: Array, m: int, tiles: tuple[int, int], padding: Pads) -> Array:
    """Transform overlapping tiles. x: [n, H, W, C]. Returns [q * q, n * tiles, C]."""
    q, inputs = m + 2, transforms(m).inputs
    (top, _), (left, _) = padding
    height, width = tiles[0] * m + 2, tiles[1] * m + 2
    edges = ((0, 0), (top, height - top - x.shape[1]), (left, width - left - x.shape[2]), (0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), [(lo, hi, 0) for lo, hi in edges])
    rows = combine_first(inputs, [x[:, k : k + height - m - 1 : m] for k in range(q)], 0)
    columns = [rows[..., k : k + width - m - 1 : m, :] for k in range(q)]
    return combine(inputs, columns, 0).reshape(q * q, -1, x.shape[3])


def tile_counts(m: int, height: int, width: int) -> tuple[int, int]:
    """Return how many tiles of m x m cover a [height, width] image."""
    return -(-height // m), -(-width // m)


def forward(x: Array, kernels: Array, layer: Layer, *, m: int, images: int) -> Array:
    """Convolve with dense 3x3 kernels, one per slice of channels.

    x: [B, H, W, S * C]; kernels: [S, 3, 3, C, O]. Returns [B, H', W', S * O].
    """
    return _convolve(x, kernels, layer.geometry.padding, m=m, images=images, rotate=False)


def input_gradient(g: Array, kernels: Array, layer: Layer, *, m: int, images: int) -> Array:
    """Return the transpose of `forward` in the images: kernels turned, used from O to C."""
    (top, bottom), (left, right) = layer.geometry.padding
    padding: Pads = ((2 - top, 2 - bottom), (2 - left, 2 - right))
    return _convolve(g, kernels, padding, m=m, images=images, rotate=True)


def _convolve(
    x: Array, kernels: Array, padding: Pads, *, m: int, images: int, rotate: bool
) -> Array:
    q, t, dtype = m + 2, transforms(m), x.dtype
    # Without this XLA transforms the kernels of all layers at the start of the program, and they
    # live, four times as large, until they are needed.
    x, kernels = lax.optimization_barrier((x, kernels))
    height, width = output_size((x.shape[1], x.shape[2]), (3, 3), (1, 1), padding)
    tiles = tile_counts(m, height, width)
    slices, _, _, inner, outer = kernels.shape
    # The points of rows vary fastest, as in `_input_tiles`.
    g = t.kernel[:, ::-1] if rotate else t.kernel
    two = jnp.asarray(np.einsum("ak,bj->bakj", g, g).reshape(q * q, 9), jnp.float32)
    wide = jnp.promote_types(dtype, jnp.float32)
    transformed = jnp.matmul(
        two.astype(wide), kernels.reshape(slices, 9, inner * outer).astype(wide)
    )
    transformed = transformed.reshape(slices, q * q, inner, outer)
    contract, outputs = (2, inner) if rotate else (1, outer)

    def block(x: Array, u: Array) -> Array:
        v = _input_tiles(x.astype(wide), m, tiles, padding)
        products = lax.dot_general(v, u, (((2,), (contract,)), ((0,), (0,))))
        products = products.reshape(q, q, -1, *tiles, outputs)
        rows = combine_first(t.outputs, [products[:, a] for a in range(q)], 3)
        y = combine(t.outputs, [rows[b] for b in range(q)], 4)
        y = y.reshape(-1, tiles[0] * m, tiles[1] * m, outputs)
        return y[:, :height, :width].astype(dtype)

    return map_blocks(block, x, transformed, images)


def kernel_gradient(x: Array, g: Array, layer: Layer, *, slices: int, m: int, images: int) -> Array:
    """Return the gradient with respect to dense 3x3 kernels, one per slice of channels.

    x: [B, H, W, S * C]; g: [B, H', W', S * O]. Returns [S, 3, 3, C, O] in float32 or wider.
    """
    q, t = m + 2, transforms(m)
    wide = jnp.promote_types(x.dtype, jnp.float32)
    height, width = g.shape[1:3]
    tiles, padding = tile_counts(m, height, width), layer.geometry.padding

    def block(x: Array, g: Array) -> Array:
        v = _input_tiles(x.astype(wide), m, tiles, padding)
        ends = [(0, 0, 0), (0, tiles[0] * m - height, 0), (0, tiles[1] * m - width, 0), (0, 0, 0)]
        g = lax.pad(g.astype(wide), jnp.zeros((), wide), ends)
        rows = combine_first(t.gradient, [g[:, k::m] for k in range(m)], 0)
        columns = combine(t.gradient, [rows[..., k::m, :] for k in range(m)], 0)
        z = columns.reshape(q * q, -1, g.shape[3])
        if _TURN:
            v = lax.optimization_barrier(v.swapaxes(1, 2))
        products = lax.dot_general(v, z, (((2 if _TURN else 1,), (1,)), ((0,), (0,))))
        # Back to nine taps at once: sums over blocks of the q * q products would be four times as
        # large (ResNet-18, 32x32, 128 images: 108 MiB more, and 1.1 times the time of a step).
        return jnp.matmul(two, products.reshape(q * q, -1))

    two = jnp.asarray(np.einsum("ia,jb->ijba", t.taps, t.taps).reshape(9, q * q), wide)
    total = sum_blocks(block, x, g, slices, images)
    return total.reshape(slices, 3, 3, x.shape[3] // slices, g.shape[3] // slices)
