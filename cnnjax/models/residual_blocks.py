"""Residual blocks of timm's ResNets, and the norms and attention that they are built with.

He et al. 2019, "Bag of Tricks" (arXiv:1812.01187): shortcuts that average before they project. Hu
et al. 2018 (arXiv:1709.01507) and Wang et al. 2020 (arXiv:1910.03151): attention after the last
convolution of a block. Zhang 2019 (arXiv:1904.11486): blur before subsampling. As
timm.models.resnet defines them: the last norm of a block starts at zero.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.nn import (
    BatchNorm,
    Conv,
    GroupNorm,
    SqueezeExcite,
    drop_path,
    kaiming_normal,
    project,
    relu,
    uniform_bias,
)
from cnnjax.typing import Array, DType

__all__ = ["BasicBlockD", "BottleneckD", "batch_norm", "group_norm", "squeeze_excite"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_zeros = nn.initializers.zeros_init()


batch_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
group_norm = partial(GroupNorm, 32, epsilon=1e-5)


def _squeezed(channels: int, *, reduction: int) -> int:
    return max(8, channels // reduction)


def squeeze_excite(reduction: int) -> Callable[..., nn.Module]:
    """Return the squeeze-excite to `1 / reduction` of the channels, at least 8."""
    squeezed = partial(_squeezed, reduction=reduction)
    return partial(SqueezeExcite, squeezed, kernel_init=kaiming_normal, bias_init=uniform_bias)


class BasicBlockD(nn.Module):
    """Two 3x3 convolutions, `attention` if any, and a shortcut.

    `halve`, if any, subsamples by 2 after the first convolution, which then has no stride.
    """

    width: int
    strides: int = 1
    average: bool = True
    halve: Callable[[Array], Array] | None = None
    attention: Callable[..., nn.Module] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(_conv, padding=1, dtype=self.dtype)
        norm = partial(batch_norm, dtype=self.dtype)
        halve = self.halve if self.strides > 1 else None
        y = conv(self.width, (3, 3), 1 if halve else self.strides, name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        if halve is not None:
            y = halve(y)
        y = conv(self.width, (3, 3), name="conv2")(y)
        y = norm(scale_init=_zeros, name="bn2")(y, train=train)
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="se")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, self.width, self.strides))


class BottleneckD(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions, `attention` if any, and a shortcut.

    `halve`, if any, subsamples by 2 after the 3x3 convolution, which then has no stride. The first
    convolution has `1 / first_reduction` of the channels of the 3x3; `shortcut_kernel` is the size
    of a strided shortcut's convolution. `norm` is as in `ResNetD`.
    """

    # Twelve fields: one block of which six papers' networks each change one thing.
    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    first_reduction: int = 1
    average: bool = True
    shortcut_kernel: int = 1
    halve: Callable[[Array], Array] | None = None
    attention: Callable[..., nn.Module] | None = None
    norm: Callable[..., nn.Module] = batch_norm
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(self.norm, dtype=self.dtype)
        halve = self.halve if self.strides > 1 else None
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        y = conv(inner // self.first_reduction, (1, 1), name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = conv(
            inner,
            (3, 3),
            1 if halve else self.strides,
            padding=1,
            feature_group_count=self.groups,
            name="conv2",
        )(y)
        y = relu(norm(name="bn2")(y, train=train))
        if halve is not None:
            y = halve(y)
        y = conv(outer, (1, 1), name="conv3")(y)
        y = norm(scale_init=_zeros, name="bn3")(y, train=train)
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="se")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
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
