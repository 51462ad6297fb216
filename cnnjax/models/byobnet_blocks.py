"""The blocks of timm's byobnet: residual blocks of one scheme.

Lin et al. 2020, "Neural Architecture Design for GPU-Efficient Networks" (arXiv:2006.14090), as
timm.models.byobnet defines them.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn import BatchNorm, ConvNormAct, SqueezeExcite, averaged, drop_path, grouped, relu
from cnnjax.typing import Activation, Array, DType

__all__ = ["Basic", "Bottleneck", "InvertedBottleneck", "average", "project"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_last_norm = partial(_norm, scale_init=nn.initializers.zeros_init())


def project(
    x: Array, width: int, strides: int, *, train: bool, name: str, dtype: DType = jnp.float32
) -> Array:
    """Return a strided 1x1 convolution and its norm; to be called in a block's `__call__`."""
    layer = ConvNormAct(width, 1, strides, norm=_norm, act=None, dtype=dtype, name=name)
    return layer(x, train=train)


def average(
    x: Array, width: int, strides: int, *, train: bool, name: str, dtype: DType = jnp.float32
) -> Array:
    """Return `project` after a 2x2 mean that takes the stride."""
    x = averaged(x, strides)
    return project(x, width, 1, train=train, name=f"{name}.conv", dtype=dtype)


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 (strided; two with `extra`) and 1x1 layers, and a shortcut.

    The inner width is `ratio` times `width`, in groups of `group_size` channels. `attention`, one
    of `cnnjax.nn.attention`, precedes the last layer. Where the shape changes the shortcut is
    projected. With `pooled` 2x2 means take the strides, of the 3x3 layer and of the shortcut. The
    branch begins at zero.
    """

    width: int
    strides: int = 1
    ratio: float = 0.25
    group_size: int | None = None
    extra: bool = False
    pooled: bool = False
    attention: Callable[..., nn.Module] | None = None
    act: Activation = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        inner = round(self.ratio * self.width)
        groups = inner // self.group_size if self.group_size else 1
        layer = partial(ConvNormAct, norm=_norm, act=self.act, dtype=self.dtype)
        spatial = partial(layer, inner, 3, groups=groups, kernel_init=grouped(groups))
        y = layer(inner, 1, name="conv1_1x1")(x, train=train)
        y = spatial(1 if self.pooled else self.strides, name="conv2_kxk")(y, train=train)
        if self.pooled and self.strides > 1:
            y = ops.avg_pool(y, 2, strides=2)
        if self.extra:
            y = spatial(name="conv2b_kxk")(y, train=train)
        if self.attention is not None:
            y = self.attention(name="attn", dtype=self.dtype)(y, train=train)
        y = layer(self.width, 1, norm=_last_norm, act=None, name="conv3_1x1")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.strides > 1 or x.shape[-1] != self.width:
            shortcut = average if self.pooled else project
            x = shortcut(
                x, self.width, self.strides, train=train, name="shortcut", dtype=self.dtype
            )
        return self.act(x + y)


class InvertedBottleneck(nn.Module):
    """1x1, grouped 3x3 (strided), attention and linear 1x1; a shortcut where the shape stays.

    The inner width is `ratio` times the input's, in groups of `group_size` channels. The branch
    begins at zero where there is a shortcut.
    """

    width: int
    strides: int = 1
    ratio: float = 4.0
    group_size: int = 16
    attention: Callable[..., nn.Module] = SqueezeExcite
    act: Activation = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        inner = round(self.ratio * x.shape[-1])
        groups = inner // self.group_size
        layer = partial(ConvNormAct, norm=_norm, act=self.act, dtype=self.dtype)
        spatial = partial(layer, inner, 3, groups=groups, kernel_init=grouped(groups))
        y = layer(inner, 1, name="conv1_1x1")(x, train=train)
        y = spatial(self.strides, name="conv2_kxk")(y, train=train)
        y = self.attention(name="attn", dtype=self.dtype)(y, train=train)
        same = self.strides == 1 and x.shape[-1] == self.width
        norm = _last_norm if same else _norm
        y = layer(self.width, 1, norm=norm, act=None, name="conv3_1x1")(y, train=train)
        return x + drop_path(y, self.drop_path_rate, train=train) if same else y


class Basic(nn.Module):
    """A strided 3x3 layer, another of kernel size `last`, 3 or 1, and a shortcut, projected."""

    width: int
    strides: int = 1
    last: int = 3
    act: Activation = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(ConvNormAct, self.width, dtype=self.dtype)
        y = layer(3, self.strides, norm=_norm, act=self.act, name="conv1_kxk")(x, train=train)
        name = "conv2_kxk" if self.last == 3 else "conv2_1x1"
        y = layer(self.last, norm=_last_norm, act=None, name=name)(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.strides > 1 or x.shape[-1] != self.width:
            x = project(x, self.width, self.strides, train=train, name="shortcut", dtype=self.dtype)
        return self.act(x + y)
