"""Activations: elementwise functions, each with the piecewise form its paper gives."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

from cnnjax.errors import unknown
from cnnjax.typing import Activation, Array

__all__ = [
    "ACTIVATIONS",
    "activation",
    "elu",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "identity",
    "leaky_relu",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "tanh",
]


def identity(x: Array) -> Array:
    """Return `x`."""
    return x


def relu(x: Array) -> Array:
    """`max(x, 0)` (Nair and Hinton 2010); the gradient at 0 is 0."""
    return jax.nn.relu(x)


def relu6(x: Array) -> Array:
    """`min(max(x, 0), 6)` (Howard et al. 2017, MobileNet)."""
    return jax.nn.relu6(x)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """`x` where positive, else `slope * x` (Maas et al. 2013)."""
    return jax.nn.leaky_relu(x, slope)


def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`."""
    return jax.nn.sigmoid(x)


def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return jnp.tanh(x)


def elu(x: Array) -> Array:
    """`x` where positive, else `exp(x) - 1` (Clevert et al. 2016)."""
    return jax.nn.elu(x)


@jax.custom_jvp
def silu(x: Array) -> Array:
    """`x * sigmoid(x)`, also called swish (Ramachandran et al. 2017)."""
    return jax.nn.silu(x)


@silu.defjvp
def _silu_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    # The sigmoid in other words: XLA would keep the forward pass's one, an array as large as x,
    # until the backward pass (EfficientNet-B0's training step on a CPU: 1.1 times the time).
    s = 0.5 + 0.5 * jnp.tanh(0.5 * x)
    return silu(x), dx * (s + x * s * (1 - s))


@jax.custom_jvp
def gelu(x: Array) -> Array:
    """`x * Phi(x)` with the exact normal distribution function (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


@gelu.defjvp
def _gelu_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    # The same function in other words, for the reason that `silu` has: forward and backward of
    # [8, 56, 56, 384] on a CPU 10.7 ms; one `erf` for both 14.8; `jax.nn.gelu` 31.6 (jax 0.12).
    phi = 0.5 * (1 - lax.erf(x * -math.sqrt(0.5)))
    return gelu(x), dx * (phi + x * jnp.exp(-0.5 * x * x) * math.sqrt(0.5 / math.pi))


def gelu_tanh(x: Array) -> Array:
    """The tanh approximation of `gelu`; differs from it by less than 5e-4."""
    return jax.nn.gelu(x, approximate=True)


def hard_sigmoid(x: Array) -> Array:
    """`relu6(x + 3) / 6` (Howard et al. 2019, MobileNetV3)."""
    return jax.nn.hard_sigmoid(x)


def hard_swish(x: Array) -> Array:
    """`x * hard_sigmoid(x)` (Howard et al. 2019, MobileNetV3)."""
    return jax.nn.hard_swish(x)


ACTIVATIONS: Mapping[str, Activation] = {
    "elu": elu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": hard_swish,
    "identity": identity,
    "leaky_relu": leaky_relu,
    "relu": relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
}


def activation(name: str) -> Activation:
    """Return the activation of that name; raise `BadArgument` with the nearest names."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
