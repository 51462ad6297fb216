"""How kernels and biases begin."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.typing import Array, DType, Key

__all__ = [
    "grouped",
    "kaiming_fan_in",
    "kaiming_normal",
    "ungrouped",
    "uniform",
    "uniform_bias",
    "uniform_fan_out",
    "zero_bias",
]

_kaiming_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_kaiming_fan_in = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
_uniform_fan_out = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def kaiming_normal(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from N(0, 2 / fan_out): He et al. 2015, torchvision's choice for most networks."""
    return _kaiming_normal(key, shape, dtype)


def kaiming_fan_in(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from N(0, 2 / fan_in): He et al. 2015 (arXiv:1502.01852), equation 10."""
    return _kaiming_fan_in(key, shape, dtype)


def grouped(groups: int) -> nn.initializers.Initializer:
    """Return `kaiming_normal` for a convolution in groups, whose fan-out is one group's outputs."""
    return nn.initializers.variance_scaling(2.0 * groups, "fan_out", "normal")


def ungrouped(groups: int) -> nn.initializers.Initializer:
    """Return `kaiming_normal`, whose fan-out is all groups' outputs: where `grouped` may stand."""
    del groups
    return kaiming_normal


def uniform(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), PyTorch's default for its layers."""
    return _uniform(key, shape, dtype)


def uniform_fan_out(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from U(-1 / sqrt(fan_out), 1 / sqrt(fan_out)), TensorFlow's for a last linear layer."""
    return _uniform_fan_out(key, shape, dtype)


def uniform_bias(fan_in: int) -> nn.initializers.Initializer:
    """Return `uniform` for the bias of a layer, whose shape does not tell its fan-in."""
    bound = fan_in**-0.5
    return partial(jax.random.uniform, minval=-bound, maxval=bound)


def zero_bias(fan_in: int) -> nn.initializers.Initializer:
    """Return zeros for the bias of a layer: where `uniform_bias` may stand."""
    del fan_in
    return nn.initializers.zeros_init()
