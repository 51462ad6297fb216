"""Loops over blocks of images whose intermediate arrays stay in a core's caches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

__all__ = [
    "images_per_block",
    "largest_divisor",
    "map_blocks",
    "merge_groups",
    "slices_for",
    "split_groups",
    "sum_blocks",
]


def largest_divisor(number: int, most: int) -> int:
    """Return the largest divisor of `number` that is at most `most` (at least 1)."""
    return next(n for n in range(max(1, min(number, most)), 0, -1) if number % n == 0)


def images_per_block(batch: int, bytes_per_image: int, target: int) -> int:
    """Return the largest divisor of `batch` whose images fit into `target` bytes, or 1."""
    return largest_divisor(batch, target // max(1, bytes_per_image))


# Indices are never negative here: the code that would wrap them costs compile time.
def _images(x: Array, first: Array | int, part: Array | int, size: tuple[int, ...]) -> Array:
    start = (first, 0, 0, part * size[3])
    return lax.dynamic_slice(x, start, size, allow_negative_indices=False)


def _at(kernels: Array, part: Array | int) -> Array:
    start = (part, *[0] * (kernels.ndim - 1))
    size = (1, *kernels.shape[1:])
    return lax.dynamic_slice(kernels, start, size, allow_negative_indices=False)[0]


def map_blocks(
    function: Callable[[Array, Array], Array], x: Array, kernels: Array, images: int
) -> Array:
    """Apply `function(x_block, kernels[s])` to blocks of `images` images and of channels.

    x: [B, H, W, S * C]; kernels: [S, ...]; the function maps [images, H, W, C] to
    [images, H', W', O]. Returns [B, H', W', S * O].
    """
    batch, height, width, channels = x.shape
    slices = kernels.shape[0]
    if slices == 1 and images >= batch:
        # Whole, as a loop's result is: XLA would join what follows to the function's last sum, and
        # write that one's operands out because the sum became too long.
        return lax.optimization_barrier(function(x, kernels[0]))
    size = (images, height, width, channels // slices)
    out = jax.eval_shape(function, jax.ShapeDtypeStruct(size, x.dtype), kernels[0])

    def body(step: Array, y: Array) -> Array:
        block, part = (step, 0) if slices == 1 else (step // slices, step % slices)
        x_block = _images(x, block * images, part, size)
        kernel = kernels[0] if slices == 1 else _at(kernels, part)
        y_block = function(x_block, kernel)
        start = (block * images, 0, 0, part * out.shape[3])
        return lax.dynamic_update_slice(y, y_block, start, allow_negative_indices=False)

    # Every element is overwritten. Equal constants of all convolutions would become one array
    # that lives through the whole program and is copied into each loop.
    start = x[0, 0, 0, 0].astype(out.dtype)
    y = jnp.broadcast_to(start, (batch, *out.shape[1:3], slices * out.shape[3]))
    return lax.fori_loop(0, slices * (batch // images), body, y)


def sum_blocks(
    function: Callable[[Array, Array], Array], x: Array, g: Array, slices: int, images: int
) -> Array:
    """Sum `function(x_block, g_block)` over blocks of `images` images, per slice of channels.

    x: [B, H, W, S * C], g: [B, H', W', S * O]. Returns [S, *shape of the function's result].
    """
    batch = x.shape[0]
    if slices == 1 and images >= batch:
        return function(x, g)[None]
    x_size = (images, *x.shape[1:3], x.shape[3] // slices)
    g_size = (images, *g.shape[1:3], g.shape[3] // slices)
    blocks = batch // images

    def one_slice(part: Array | int) -> Array:
        def term(block: Array | int) -> Array:
            start = block * images
            return function(_images(x, start, part, x_size), _images(g, start, part, g_size))

        zero = jax.eval_shape(term, 0)
        total = jnp.zeros(zero.shape, zero.dtype)
        return lax.fori_loop(0, blocks, lambda block, total: total + term(block), total)

    if slices == 1:
        return one_slice(0)[None]
    return lax.map(one_slice, jnp.arange(slices))


def slices_for(groups: int, channels: int, outputs: int, width: int) -> int:
    """Return how many slices of whole groups hold at least `width` channels each (a divisor)."""
    per_group = max(1, min(channels, outputs) // groups)
    merged = -(-width // per_group)
    return groups // next(m for m in range(min(merged, groups), groups + 1) if groups % m == 0)


def merge_groups(kernel: Array, groups: int, slices: int) -> Array:
    """Join groups into `slices` dense kernels that are zero between different groups.

    kernel: [kh, kw, C/groups, O]. Returns [slices, kh, kw, C/slices, O/slices].
    """
    kh, kw, c, outputs = kernel.shape
    merged, o = groups // slices, outputs // groups
    k = kernel.reshape(kh, kw, c, slices, merged, o)
    if merged == 1:
        return jnp.moveaxis(k[:, :, :, :, 0], 3, 0)
    same = jnp.eye(merged, dtype=kernel.dtype).reshape(merged, 1, 1, 1, 1, merged, 1)
    dense = k[None] * same  # [from group, kh, kw, c, slices, to group, o]
    dense = dense.transpose(4, 1, 2, 0, 3, 5, 6)
    return dense.reshape(slices, kh, kw, merged * c, merged * o)


def split_groups(dense: Array, groups: int) -> Array:
    """Keep the diagonal blocks of dense kernels: the inverse of `merge_groups`.

    dense: [slices, kh, kw, C/slices, O/slices]. Returns [kh, kw, C/groups, O].
    """
    slices, kh, kw, channels, outputs = dense.shape
    merged = groups // slices
    c, o = channels // merged, outputs // merged
    blocks = dense.reshape(slices, kh, kw, merged, c, merged, o)
    kept = jnp.diagonal(blocks, axis1=3, axis2=5)  # [slices, kh, kw, c, o, merged]
    return kept.transpose(1, 2, 3, 0, 5, 4).reshape(kh, kw, c, groups * o)
