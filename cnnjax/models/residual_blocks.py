"""Residual blocks of timm's ResNets, and the attention, norms and pooling that they are built with.

He et al. 2019, "Bag of Tricks" (arXiv:1812.01187): shortcuts that average before they project. Hu
et al. 2018 (arXiv:1709.01507) and Wang et al. 2020 (arXiv:1910.03151): attention after the last
convolution of a block. Zhang 2019 (arXiv:1904.11486): blur before subsampling. As
timm.models.resnet defines them: the last norm of a block starts at zero.
"""

from collections.abc import Callable
from functools import partial
from math import log2

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn import (
    BatchNorm,
    Conv,
    DropPath,
    GroupNorm,
    SqueezeExcite,
    kaiming_normal,
    relu,
    sigmoid,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType

__all__ = [
    "BasicBlockD",
    "BottleneckD",
    "EfficientChannelAttention",
    "batch_norm",
    "efficient_channel_attention",
    "group_norm",
    "project",
    "squeeze_excite",
]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_ones, _zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()


def batch_norm(
    x: Array,
    *,
    train: bool,
    dtype: DType,
    name: str,
    scale_init: nn.initializers.Initializer = _ones,
) -> Array:
    """Normalise over the batch, by a submodule of that name."""
    norm = BatchNorm(momentum=0.9, epsilon=1e-5, scale_init=scale_init, dtype=dtype, name=name)
    return norm(x, train=train)


def group_norm(
    x: Array,
    *,
    train: bool,
    dtype: DType,
    name: str,
    scale_init: nn.initializers.Initializer = _ones,
) -> Array:
    """Normalise over 32 groups of channels of each image, by a submodule of that name."""
    del train
    return GroupNorm(
        32, epsilon=1e-5, use_fast_variance=False, scale_init=scale_init, dtype=dtype, name=name
    )(x)


class EfficientChannelAttention(nn.Module):
    """`x * sigmoid(conv1d(mean(x)))`: a convolution along the channels, of 3 to 7 neighbours.

    The kernel size is the odd number next to `(log2(C) + 1) / 2`, rounded down, at least 3.
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
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


def squeeze_excite(x: Array, dtype: DType, *, reduction: int = 16) -> Array:
    """Return `x` gated by a squeeze-excite to `1 / reduction` of the channels, at least 8."""
    squeezed = max(8, x.shape[-1] // reduction)
    return SqueezeExcite(
        squeezed, kernel_init=kaiming_normal, bias_init=uniform_bias, dtype=dtype, name="se"
    )(x)


def efficient_channel_attention(x: Array, dtype: DType) -> Array:
    """Return `x` gated by an `EfficientChannelAttention`."""
    return EfficientChannelAttention(dtype=dtype, name="se")(x)


def project(
    x: Array,
    features: int,
    strides: int,
    *,
    average: bool,
    dtype: DType,
    train: bool,
    kernel_size: int = 1,
    norm: Callable[..., Array] = batch_norm,
) -> Array:
    """Return the shortcut: the identity, or a projection where the shape changes.

    With `average` a 2x2 mean takes the stride before a 1x1 convolution; without, the convolution
    itself, which is of `kernel_size` where it strides. To be called in a block's `__call__`, whose
    submodules it adds.
    """
    if x.shape[-1] == features and strides == 1:
        return x
    if average:
        if strides > 1:
            x = ops.avg_pool(x, 2, strides=2, ceil_mode=True, count_include_pad=False)
        x = _conv(features, (1, 1), dtype=dtype, name="downsample.1")(x)
        return norm(x, dtype=dtype, train=train, name="downsample.2")
    size = kernel_size if strides > 1 else 1
    x = _conv(features, size, strides, padding=size // 2, dtype=dtype, name="downsample.0")(x)
    return norm(x, dtype=dtype, train=train, name="downsample.1")


class BasicBlockD(nn.Module):
    """Two 3x3 convolutions, `attention` (called with `x` and `dtype`) if any, and a shortcut.

    `halve`, if any, subsamples by 2 after the first convolution, which then has no stride.
    """

    width: int
    strides: int = 1
    average: bool = True
    halve: Callable[[Array], Array] | None = None
    attention: Callable[..., Array] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(_conv, padding=1, dtype=self.dtype)
        norm = partial(batch_norm, train=train, dtype=self.dtype)
        halve = self.halve if self.strides > 1 else None
        y = conv(self.width, (3, 3), 1 if halve else self.strides, name="conv1")(x)
        y = relu(norm(y, name="bn1"))
        if halve is not None:
            y = halve(y)
        y = norm(conv(self.width, (3, 3), name="conv2")(y), scale_init=_zeros, name="bn2")
        if self.attention is not None:
            y = self.attention(y, self.dtype)
        y = DropPath(self.drop_path_rate)(y, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, self.width, self.strides))


class BottleneckD(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions, `attention` if any, and a shortcut.

    `halve`, if any, subsamples by 2 after the 3x3 convolution, which then has no stride. The first
    convolution has `1 / first_reduction` of the channels of the 3x3; `shortcut_kernel` is the size
    of a strided shortcut's convolution. `norm` is as in `ResNetD`.
    """

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    first_reduction: int = 1
    average: bool = True
    shortcut_kernel: int = 1
    halve: Callable[[Array], Array] | None = None
    attention: Callable[..., Array] | None = None
    norm: Callable[..., Array] = batch_norm
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(self.norm, train=train, dtype=self.dtype)
        halve = self.halve if self.strides > 1 else None
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        y = relu(norm(conv(inner // self.first_reduction, (1, 1), name="conv1")(x), name="bn1"))
        y = conv(
            inner,
            (3, 3),
            1 if halve else self.strides,
            padding=1,
            feature_group_count=self.groups,
            name="conv2",
        )(y)
        y = relu(norm(y, name="bn2"))
        if halve is not None:
            y = halve(y)
        y = norm(conv(outer, (1, 1), name="conv3")(y), scale_init=_zeros, name="bn3")
        if self.attention is not None:
            y = self.attention(y, self.dtype)
        y = DropPath(self.drop_path_rate)(y, train=train)
        shortcut = project(
            x,
            outer,
            self.strides,
            average=self.average,
            kernel_size=self.shortcut_kernel,
            norm=self.norm,
            dtype=self.dtype,
            train=train,
        )
        return relu(y + shortcut)
