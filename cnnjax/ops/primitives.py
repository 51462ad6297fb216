"""Convolution and its two gradients as three JAX primitives, closed under differentiation.

The number `<conv(x, w), g>` is linear in each of x, w and g. Leaving one of them out gives the
three contractions

    forward(x, w) -> g        input_gradient(g, w) -> x        kernel_gradient(x, g) -> w

each linear in either operand, with the other two as its transposes. So forward mode, reverse
mode and any mixture of them, to any order, meet these three and nothing else, and what is fast
once is fast in all of them. (A `custom_vjp` would take forward mode away, and leave the second
derivative to whatever operations its rule is made of.)

Every operand may carry a leading axis K of independent problems, which is what `vmap` over
kernels makes; an operand without it is shared by all K. `vmap` over images alone folds into the
batch.

Primitives choose their program at lowering, where the platform is known: on a CPU a form of
`choose`, anywhere else the stock operation and nothing besides.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from cnnjax.ops import choose, xla
from cnnjax.ops.geometry import Layer
from cnnjax.ops.lowering import new_primitive, same_manual_axes
from cnnjax.typing import Array

__all__ = ["forward"]

# Above this many kernels one compiled body is looped over instead of being written out: a loop
# costs a copy of each result, a long program costs compile time.
UNROLLED_KERNELS = 8


def forward(x: Array, w: Array, layer: Layer, *, precision: lax.PrecisionLike = None) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`."""
    x, w = same_manual_axes(x, w)
    return forward_p.bind(x, w, **layer._asdict(), precision=precision)


# All three primitives carry the same parameters: those of a `Layer`, and the precision.


def _kernels(a: Any, b: Any) -> tuple[int, ...]:
    """Return the leading axis K of two operands, `()` if neither has one."""
    return max(a.shape[:-4], b.shape[:-4], key=len)


# Programs.


def _per_kernel(function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    kernels = _kernels(a, b)
    if not kernels:
        return function(a, b)
    if isinstance(kernels[0], int) and kernels[0] <= UNROLLED_KERNELS:
        pick = lambda operand, k: operand[k] if operand.ndim == 5 else operand
        return jnp.stack([function(pick(a, k), pick(b, k)) for k in range(kernels[0])])
    if a.ndim == 4:
        return lax.map(lambda b: function(a, b), b)
    if b.ndim == 4:
        return lax.map(lambda a: function(a, b), a)
    return lax.map(lambda operands: function(*operands), (a, b))


def _over_kernels(function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    axes = tuple(0 if operand.ndim == 5 else None for operand in (a, b))
    return function(a, b) if axes == (None, None) else jax.vmap(function, axes)(a, b)


def _primitive(name: str, result_shape: Callable, stock: Callable, fast: Callable) -> Primitive:
    def abstract(a: Any, b: Any, *, precision: Any, **params: Any) -> Any:
        # The operand of the higher rank has the mesh axes and the memory of the result.
        like = a if a.ndim >= b.ndim else b
        shape = result_shape(Layer(**params), a, b)
        return like.update(shape=_kernels(a, b) + shape, weak_type=False)

    def run_stock(a: Array, b: Array, *, precision: Any, **params: Any) -> Array:
        layer = Layer(**params)
        return _over_kernels(lambda a, b: stock(a, b, layer, precision=precision), a, b)

    def run_fast(a: Array, b: Array, *, precision: Any, partitioned: bool, **params: Any) -> Array:
        layer = Layer(**params)
        return _per_kernel(lambda a, b: fast(a, b, layer, partitioned=partitioned), a, b)

    return new_primitive(
        name,
        abstract,
        stock=run_stock,
        fast=run_fast,
        static=("geometry", "image_size", "kernel_size", "precision"),
    )


forward_p = _primitive("convolution", Layer.output_shape, xla.forward, choose.forward)
input_gradient_p = _primitive(
    "convolution_input_gradient", Layer.image_shape, xla.input_gradient, choose.input_gradient
)
kernel_gradient_p = _primitive(
    "convolution_kernel_gradient", Layer.kernel_shape, xla.kernel_gradient, choose.kernel_gradient
)


# Derivatives.


def _transposed(primitive: Primitive, a: Array, b: Array, to: Any, **params: Any) -> Array:
    """Bind `primitive` for the cotangent of `to`, summing over K where `to` is shared."""
    result = primitive.bind(a, b, **params)
    return result.sum(0) if result.ndim > to.aval.ndim else result


ad.defbilinear(
    forward_p,
    lambda g, x, w, **params: _transposed(input_gradient_p, g, w, x, **params),
    lambda g, x, w, **params: _transposed(kernel_gradient_p, x, g, w, **params),
)
ad.defbilinear(
    input_gradient_p,
    lambda x, g, w, **params: _transposed(forward_p, x, w, g, **params),
    lambda x, g, w, **params: _transposed(kernel_gradient_p, x, g, w, **params),
)
ad.defbilinear(
    kernel_gradient_p,
    lambda w, x, g, **params: _transposed(input_gradient_p, g, w, x, **params),
    lambda w, x, g, **params: _transposed(forward_p, x, w, g, **params),
)


# Batching.


def _fold(operand: Array, axis: int) -> Array:
    """Merge axis `axis` with the one after it."""
    shape = operand.shape
    return operand.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def _unfold(operand: Array, axis: int, size: int) -> Array:
    shape = operand.shape
    return operand.reshape(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :])


def _batch_images(
    primitive: Primitive, operands: tuple, axis: int, **params: Any
) -> tuple[Array, int]:
    """Batch over images under one kernel (or K of them): more images."""
    images, kernel = operands
    at = images.ndim - 5
    size = images.shape[axis]
    result = primitive.bind(_fold(jnp.moveaxis(images, axis, at), at), kernel, **params)
    at = result.ndim - 4
    return _unfold(result, at, size), at


def _batch_kernels(
    primitive: Primitive, operands: tuple, axes: tuple, **params: Any
) -> tuple[Array, int]:
    """Batch over independent problems: a longer leading axis K."""
    size = next(o.shape[a] for o, a in zip(operands, axes, strict=True) if a is not None)
    ranks = [o.ndim - (a is not None) for o, a in zip(operands, axes, strict=True)]
    if max(ranks) == 4:
        moved = [
            o if a is None else jnp.moveaxis(o, a, 0) for o, a in zip(operands, axes, strict=True)
        ]
        return primitive.bind(*moved, **params), 0

    kernels = next(
        o.shape[0 if a is None else int(a == 0)]
        for o, a, rank in zip(operands, axes, ranks, strict=True)
        if rank == 5
    )

    def join(operand: Array, axis: int | None, rank: int) -> Array:
        if axis is None and rank == 4:
            return operand
        operand = operand[None] if axis is None else jnp.moveaxis(operand, axis, 0)
        operand = operand[:, None] if rank == 4 else operand
        return _fold(jnp.broadcast_to(operand, (size, kernels, *operand.shape[2:])), 0)

    joined = [join(*each) for each in zip(operands, axes, ranks, strict=True)]
    return _unfold(primitive.bind(*joined, **params), 0, size), 0


def _batch_with_kernel(primitive: Primitive) -> Callable:
    def rule(operands: tuple, axes: tuple, **params: Any) -> tuple[Array, int]:
        if axes[1] is None:
            return _batch_images(primitive, operands, axes[0], **params)
        return _batch_kernels(primitive, operands, axes, **params)

    return rule


batching.primitive_batchers[forward_p] = _batch_with_kernel(forward_p)
batching.primitive_batchers[input_gradient_p] = _batch_with_kernel(input_gradient_p)
batching.primitive_batchers[kernel_gradient_p] = lambda operands, axes, **params: _batch_kernels(
    kernel_gradient_p, operands, axes, **params
)
