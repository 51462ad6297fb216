"""EfficientNets with conditionally parameterised convolutions: each image mixes its own kernels.

Yang et al. 2019, CondConv (arXiv:1904.04971), as timm.models.efficientnet defines it.
"""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.efficientnet import STAGES
from cnnjax.models.inverted_residual import InvertedResidual
from cnnjax.models.inverted_residual_net import TENSORFLOW, InvertedResidualNet, described, scaled
from cnnjax.models.network import Network
from cnnjax.nn import BatchNorm, sigmoid, silu
from cnnjax.ops.geometry import output_size, window_padding
from cnnjax.typing import Array, DType

__all__ = ["NETWORKS", "ConditionalConv", "ConditionalResidual"]


class ConditionalConv(nn.Module):
    """A convolution whose kernel is, for each image, a weighted sum of `experts` kernels.

    `groups` is 1, for a 1x1 of stride 1, or the number of channels: depthwise. Parameter `kernel`:
    `[experts, kh, kw, C / groups, features]`. No bias.
    """

    features: int
    kernel_size: int = 1
    strides: int = 1
    groups: int = 1
    padding: str | int = 0
    experts: int = 4
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, weights: Array) -> Array:
        """Map `[B, H, W, C]`, with weights `[B, experts]`, to `[B, H', W', features]`."""
        (batch, height, width, channels), size = x.shape, self.kernel_size
        shape = (self.experts, size, size, channels // self.groups, self.features)
        # The reference counts one group's outputs, of one expert.
        init = nn.initializers.normal((2 * self.groups / (size * size * self.features)) ** 0.5)
        kernel = self.param("kernel", init, shape, jnp.float32).astype(self.dtype)
        kernel = jnp.tensordot(weights.astype(self.dtype), kernel, 1)
        x = x.astype(self.dtype)
        if self.groups == 1:
            return jnp.einsum("bhwi,bio->bhwo", x, kernel[:, 0, 0])
        if not isinstance(batch, int):  # of any size, in an export: no convolution has such groups
            return _by_taps(x, kernel, self.strides, self.padding)
        # One image of all images' channels: that is a depthwise convolution like any other.
        x = x.transpose(1, 2, 0, 3).reshape(1, height, width, batch * channels)
        kernel = kernel.transpose(1, 2, 3, 0, 4).reshape(size, size, 1, batch * channels)
        y = ops.conv2d(
            x, kernel, strides=self.strides, padding=self.padding, groups=batch * channels
        )
        return y.reshape(*y.shape[1:3], batch, channels).transpose(2, 0, 1, 3)


def _by_taps(x: Array, kernel: Array, strides: int, padding: str | int) -> Array:
    """Convolve each of `[B, H, W, C]` depthwise with its own of `[B, kh, kw, 1, C]`, by sums."""
    (_, height, width, _), (_, kh, kw, *_) = x.shape, kernel.shape
    steps = strides, strides
    pads = window_padding(padding, (height, width), (kh, kw), steps)
    rows, columns = output_size((height, width), (kh, kw), steps, pads, (1, 1))
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    y = jnp.zeros((), x.dtype)
    for i, j in itertools.product(range(kh), range(kw)):
        seen = x[:, i::strides, j::strides][:, :rows, :columns]
        y = y + seen * kernel[:, i, j, 0][:, None, None]
    return y


class ConditionalResidual(InvertedResidual):
    """An `InvertedResidual` of `ConditionalConv`, all mixed by `sigmoid(W mean(input) + b)`."""

    experts: int = 4

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        row, channels, inner = self.row, x.shape[-1], self.inner(x)
        size: Any = row.kernel_size
        conv = partial(ConditionalConv, experts=self.experts, dtype=self.dtype)
        norm = partial(BatchNorm, momentum=self.momentum, epsilon=self.epsilon, dtype=self.dtype)
        # U(-1 / sqrt(fan), 1 / sqrt(fan)), of fan-in and fan-out together.
        fan = (channels + self.experts) / 2
        init = nn.initializers.variance_scaling(channels / fan / 6, "fan_in", "uniform")
        route = nn.Dense(self.experts, kernel_init=init, dtype=self.dtype, name="routing_fn")
        weights = sigmoid(route(ops.global_avg_pool(x)))
        y = conv(inner, name="conv_pw")(x, weights)
        y = self.act(norm(name="bn1")(y, train=train))
        y = conv(
            inner,
            size,
            row.strides,
            groups=inner,
            padding=size // 2 if self.padding is None else self.padding,
            name="conv_dw",
        )(y, weights)
        y = self.attend(self.act(norm(name="bn2")(y, train=train)), train)
        y = norm(name="bn3")(conv(row.width, name="conv_pwl")(y, weights), train=train)
        return self.add(x, y, train)


def _mixed(depth: float, experts: int, **fields: Any) -> dict[str, Any]:
    """Return the fields of an EfficientNet whose last three stages are conditional."""
    plain, mixed = STAGES[:4], STAGES[4:]
    kind = partial(ConditionalResidual, experts=experts)
    stages = (*plain, *(tuple(replace(row, kind=kind) for row in stage) for stage in mixed))
    return described(scaled(stages, 1.0, depth), act=silu, **fields)


NETWORKS = {
    "efficientnet_cc_b0_4e": Network(InvertedResidualNet, _mixed(1.0, 4)),
    "efficientnet_cc_b0_8e": Network(InvertedResidualNet, _mixed(1.0, 8)),
    "efficientnet_cc_b1_8e": Network(InvertedResidualNet, _mixed(1.1, 8)),
    "tf_efficientnet_cc_b0_4e": Network(InvertedResidualNet, _mixed(1.0, 4, **TENSORFLOW)),
    "tf_efficientnet_cc_b0_8e": Network(InvertedResidualNet, _mixed(1.0, 8, **TENSORFLOW)),
    "tf_efficientnet_cc_b1_8e": Network(InvertedResidualNet, _mixed(1.1, 8, **TENSORFLOW)),
}
