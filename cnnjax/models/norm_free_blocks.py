"""The block of normalizer-free networks, and what keeps deviations at one without norms.

Brock et al. 2021 (arXiv:2101.08692 and arXiv:2102.06171), as timm.models.nfnet defines them.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn import averaged, drop_path, gelu, relu, silu
from cnnjax.typing import Activation, Array, DType

__all__ = ["NormFreeBlock", "ScaledConv", "Scaling"]

_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")

# 1 / the deviation of the activation of a standard normal
_GAMMA: dict[Activation, float] = {
    relu: 1.7139588594436646,
    gelu: 1.7015043497085571,
    silu: 1.7881293296813965,
}


class ScaledConv(nn.Module):
    """A convolution whose kernel is standardised over each output's inputs, times a gain.

    `gamma * gain * (kernel - mean) / sqrt((var + epsilon) * fan_in)`; parameters `kernel`
    `[kh, kw, C / groups, features]`, `gain` `[features, 1, 1, 1]` (as the reference's files have
    it), `bias` `[features]`.
    """

    features: int
    kernel_size: int
    strides: int = 1
    groups: int = 1
    same: bool = False
    gamma: float = 1.0
    gain_init: float = 1.0
    epsilon: float = 1e-5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        size, features = self.kernel_size, self.features
        shape = (size, size, x.shape[-1] // self.groups, features)
        kernel = self.param("kernel", _init, shape, jnp.float32)
        gain_init = nn.initializers.constant(self.gain_init)
        gain = self.param("gain", gain_init, (features, 1, 1, 1), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (features,), jnp.float32)
        centered = kernel - kernel.mean((0, 1, 2), keepdims=True)
        var = jnp.square(centered).mean((0, 1, 2), keepdims=True)
        fan_in = shape[0] * shape[1] * shape[2]
        factor = self.gamma * fan_in**-0.5 * gain.reshape(1, 1, 1, features)
        kernel = centered * jax.lax.rsqrt(var + self.epsilon) * factor
        y = ops.conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.strides,
            padding="SAME" if self.same else size // 2,
            groups=self.groups,
        )
        return y + bias.astype(self.dtype).reshape(1, 1, 1, features)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """What keeps deviations at one without norms: scaled kernels, or scaled activations.

    Attributes:
        act: the activation, one of `relu`, `gelu`, `silu`.
        deepmind: as DeepMind's own networks: activations are scaled instead of kernels, padding is
            TensorFlow's, and each branch is multiplied by a gain that starts at zero.
    """

    act: Activation
    deepmind: bool = False

    def conv(self, *arguments: Any, **settings: Any) -> ScaledConv:
        """Return a convolution; arguments as of `ScaledConv`."""
        kind = {"same": True} if self.deepmind else {"gamma": _GAMMA[self.act]}
        made: Callable[..., ScaledConv] = partial(ScaledConv, **kind)
        return made(*arguments, **settings)

    def activated(self, x: Array) -> Array:
        """Return the activation of an array, in the deviation that the next kernel expects."""
        return self.act(x) * _GAMMA[self.act] if self.deepmind else self.act(x)


class NormFreeBlock(nn.Module):
    """An activation before each of 1x1, 3x3 (strided, grouped), maybe more 3x3, and 1x1 layers.

    `x' = shortcut + alpha * f(beta * act(x))` with `alpha` 0.2. `inner` are the channels of the
    `middle` 3x3 layers. Of the two kinds of attention, called with `dtype` and `name`, `early`
    stands before the last layer and `attention` after it.
    """

    # Eleven fields: a block's sizes, its scale, and what differs between three families.
    features: int
    inner: int
    scaling: Scaling
    beta: float = 1.0
    strides: int = 1
    groups: int = 1
    middle: int = 1
    attention: Callable[..., nn.Module] | None = None
    early: Callable[..., nn.Module] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        act, strides = self.scaling.activated, self.strides
        conv = partial(self.scaling.conv, dtype=self.dtype)
        y = act(x) * self.beta
        shortcut = x
        if x.shape[-1] != self.features or strides > 1:
            shortcut = averaged(y, strides)
            shortcut = conv(self.features, 1, name="downsample.conv")(shortcut)
        y = conv(self.inner, 1, name="conv1")(y)
        for index in range(self.middle):
            strided, name = (1, "conv2b") if index else (strides, "conv2")
            y = conv(self.inner, 3, strided, groups=self.groups, name=name)(act(y))
        # Twice, since a gate of about one half halves the deviation.
        if self.early is not None:
            y = 2 * self.early(dtype=self.dtype, name="attn")(y, train=train)
        # Without the gain after it, the branch starts at zero through this one.
        gain_init = 1.0 if self.scaling.deepmind else 0.0
        y = conv(self.features, 1, gain_init=gain_init, name="conv3")(act(y))
        if self.attention is not None:
            y = 2 * self.attention(dtype=self.dtype, name="attn_last")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.scaling.deepmind:
            gain = self.param("skipinit_gain", nn.initializers.zeros_init(), (), jnp.float32)
            y = y * gain.astype(y.dtype)
        return 0.2 * y + shortcut
