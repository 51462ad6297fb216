"""Convolution with learned kernels."""

from flax import linen

__all__ = ["Conv"]


class Conv(linen.Conv):
    """`flax.linen.Conv` on the fast convolution of `cnnjax.ops`."""
