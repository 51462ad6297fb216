"""Channel attention: modules of one protocol, any of which a block can take.

A block's `attention` is a class or partial that is called with `dtype` and `name`; the module maps
`(x, *, train)`, `[B, H, W, C]`, to the same shape. A module of one's own that does so will serve.
"""

from collections.abc import Callable
from functools import partial
from math import log2

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn.activations import hard_sigmoid, relu, sigmoid
from cnnjax.nn.conv import Conv
from cnnjax.nn.initializers import kaiming_fan_in, kaiming_normal, uniform, uniform_bias, zero_bias
from cnnjax.nn.norm import LayerNorm
from cnnjax.typing import Activation, Array, DType

__all__ = [
    "EffectiveSqueezeExcite",
    "EfficientChannelAttention",
    "GlobalContext",
    "SqueezeExcite",
]


class SqueezeExcite(nn.Module):
    """Channel attention: `x * gate(W2 act(W1 mean(x)))` (Hu et al. 2018, arXiv:1709.01507).

    `squeezed` is the number of channels between the two 1x1 convolutions, or a function that makes
    it from that of `x`. The convolutions are called `names`; `bias_init` makes the initializer of a
    bias from its layer's fan-in.
    """

    squeezed: int | Callable[[int], int]
    act: Activation = relu
    gate: Activation = sigmoid
    names: tuple[str, str] = ("fc1", "fc2")
    kernel_init: nn.initializers.Initializer = uniform
    bias_init: Callable[[int], nn.initializers.Initializer] = zero_bias
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape, whatever `train` is."""
        del train

        def layer(x: Array, features: int, name: str) -> Array:
            return Conv(
                features,
                (1, 1),
                kernel_init=self.kernel_init,
                bias_init=self.bias_init(x.shape[-1]),
                dtype=self.dtype,
                name=name,
            )(x)

        channels = x.shape[-1]
        squeezed = self.squeezed if isinstance(self.squeezed, int) else self.squeezed(channels)
        scale = ops.global_avg_pool(x)[:, None, None, :]
        scale = self.act(layer(scale, squeezed, self.names[0]))
        return x * self.gate(layer(scale, channels, self.names[1]))


class EfficientChannelAttention(nn.Module):
    """`x * sigmoid(conv1d(mean(x)))`: a convolution along the channels, of 3 to 7 neighbours.

    The kernel size is the odd number next to `(log2(C) + 1) / 2`, rounded down, at least 3 (Wang et
    al. 2020, arXiv:1910.03151).
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape, whatever `train` is."""
        del train
        size = max(3, int((log2(x.shape[-1]) + 1) / 2) // 2 * 2 + 1)
        scale = ops.global_avg_pool(x)[:, :, None]
        scale = Conv(
            1,
            (size,),
            padding=size // 2,
            use_bias=False,
            kernel_init=uniform,
            dtype=self.dtype,
            name="conv",
        )(scale)
        return x * sigmoid(scale[:, None, None, :, 0])


class EffectiveSqueezeExcite(nn.Module):
    """One layer: `x * hard_sigmoid(W mean(x) + b)` (Lee and Park 2020, arXiv:1911.06667)."""

    kernel_init: nn.initializers.Initializer = kaiming_normal
    bias_init: Callable[[int], nn.initializers.Initializer] = uniform_bias
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape, whatever `train` is."""
        del train
        channels = x.shape[-1]
        scale = Conv(
            channels,
            (1, 1),
            kernel_init=self.kernel_init,
            bias_init=self.bias_init(channels),
            dtype=self.dtype,
            name="fc",
        )(ops.global_avg_pool(x)[:, None, None, :])
        return x * hard_sigmoid(scale)


class GlobalContext(nn.Module):
    """A term for all positions, from a weighted mean: `x + W2 relu(norm(W1 context))`.

    `context = sum(softmax(w x) x)` over the positions; W1 leaves an eighth of the channels, W2
    begins at zero (Cao et al. 2019, arXiv:1904.11492).
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        conv, channels = partial(Conv, kernel_size=(1, 1), dtype=self.dtype), x.shape[-1]
        weights = jax.nn.softmax(conv(1, kernel_init=kaiming_fan_in, name="conv_attn")(x), (1, 2))
        context = jnp.einsum("bhwc,bhwo->boc", x, weights)[:, None]
        hidden = conv(channels // 8, kernel_init=kaiming_normal, name="mlp_add.fc1")(context)
        hidden = relu(LayerNorm(dtype=self.dtype, name="mlp_add.norm")(hidden, train=train))
        zeros = nn.initializers.zeros_init()
        return x + conv(channels, kernel_init=zeros, name="mlp_add.fc2")(hidden)
