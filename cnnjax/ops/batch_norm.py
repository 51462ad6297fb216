"""Batch normalization with the batch's own statistics, in as few passes over memory as it takes.

Ioffe and Szegedy 2015, arXiv:1502.03167. Automatic differentiation of the formula makes three sums
and two arrays of the images' size in the backward pass; the derivative written out makes two sums,
of `g` and of `g * x`, which XLA's library for CPUs takes from `x` and `g` as they lie in memory.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.ops.switch import is_stock
from cnnjax.typing import Array

__all__ = ["batch_norm"]

# E[x^2] - E[x]^2 loses a factor E[x^2] / var of its digits: up to this one float32 keeps 5.
_MOST_LOST = 100.0


def batch_norm(
    x: Array, scale: Array, bias: Array, *, epsilon: float
) -> tuple[Array, Array, Array]:
    """Normalize `x` by the mean and biased variance over all axes but the last.

    `y = scale * (x - mean) / sqrt(var + epsilon) + bias`.

    x: [..., C]; scale, bias: [C] float32 (or float64). Returns y [..., C] of the type of `x`, and
    mean and var [C], computed and returned in at least float32.
    """
    if is_stock():
        mean, var = _two_passes(x)
        return _normalize(x, mean, scale * lax.rsqrt(var + epsilon), bias), mean, var
    return _batch_norm(x, scale, bias, epsilon)


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _batch_norm(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple[Array, Array, Array]:
    mean, var = lax.platform_dependent(x, cpu=_one_pass, default=_two_passes)
    return _normalize(x, mean, scale * lax.rsqrt(var + epsilon), bias), mean, var


@_batch_norm.defjvp
def _batch_norm_jvp(epsilon, primals, tangents):
    x, scale, bias = primals
    dx, dscale, dbias = tangents
    y, mean, var = _batch_norm(x, scale, bias, epsilon)
    inverse = lax.rsqrt(var + epsilon)
    factor = scale * inverse
    wide, dwide = x.astype(mean.dtype), dx.astype(mean.dtype)
    # Products with x as it is, not centered: the transpose then sums g and g * x, nothing else.
    dmean = _mean(dwide)
    covariance = _mean(dwide * wide) - mean * dmean
    dfactor = inverse * (dscale - factor * inverse * covariance)
    shift = dbias - factor * dmean - mean * dfactor
    dy = dwide * _row(factor, x) + wide * _row(dfactor, x) + _row(shift, x)
    return (y, mean, var), (dy.astype(x.dtype), dmean, 2 * covariance)


def _row(c: Array, x: Array) -> Array:
    return c.reshape((1,) * (x.ndim - 1) + c.shape)


def _mean(x: Array) -> Array:
    return x.mean(tuple(range(x.ndim - 1)))


def _normalize(x: Array, mean: Array, factor: Array, bias: Array) -> Array:
    wide = x.astype(mean.dtype)
    return (wide * _row(factor, x) + _row(bias - mean * factor, x)).astype(x.dtype)


def _two_passes(x: Array) -> tuple[Array, Array]:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = _mean(wide)
    return mean, _mean(jnp.square(wide - _row(mean, x)))


def _one_pass(x: Array) -> tuple[Array, Array]:
    """Return `_two_passes` without writing the centered images, where that keeps its digits."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean, square = _mean(wide), _mean(jnp.square(wide))
    var = square - jnp.square(mean)
    return lax.cond(
        (square <= _MOST_LOST * var).all(), lambda x: (mean, var), lambda x: _two_passes(x), x
    )
