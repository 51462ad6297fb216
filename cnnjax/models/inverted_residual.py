"""Inverted residual blocks and their kin, described by the rows of a table.

MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) brought the block: a 1x1 convolution widens the
features, a depthwise one mixes positions, a linear 1x1 narrows them again. MnasNet, MobileNetV3,
EfficientNet and many more are strings of such blocks and differ in which of its kinds stands where.
`cnnjax.models.inverted_residual_net` makes networks of them. Names of variables are timm's
(timm.models.efficientnet, timm.models.mobilenetv3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    SqueezeExcite,
    drop_path,
    grouped,
    kaiming_normal,
    relu,
    sigmoid,
)
from cnnjax.typing import Activation, Array, DType

__all__ = [
    "FusedResidual",
    "InvertedResidual",
    "PlainLayer",
    "Row",
    "Separable",
    "Squeeze",
    "Stages",
    "Style",
    "convolve",
    "layer",
]

Size = int | tuple[int, ...]
Starts = Callable[[int], nn.initializers.Initializer]


# Fourteen fields: a block of a table has so many columns, and most rows write six of them.
@dataclass(frozen=True)
class Row:
    """`repeats` blocks of one `kind`, of which the first has the `strides`.

    `expansion` times the input's width (or times `base`, where given), rounded to a multiple of 8,
    is the inner width; `squeeze` the fraction of that in squeeze-excite, 0 for none. `act` None is
    the network's activation. A block that is not `linear` ends in the activation. `group_size`
    cuts the dense k x k convolution of `FusedResidual` into groups of so many channels.
    A tuple of kernel sizes splits the channels into as many parts, each with a size of its own
    (Tan and Le 2019, arXiv:1907.09595); `expand_size` and `project_size` are those of the 1x1
    convolutions, split for being cheaper.
    """

    kind: Callable[..., nn.Module]
    kernel_size: Size
    strides: int
    expansion: float
    width: int
    repeats: int = 1
    squeeze: float = 0.0
    act: Activation | None = None
    shortcut: bool = True
    linear: bool = True
    base: int = 0
    group_size: int = 0
    expand_size: Size = 1
    project_size: Size = 1


Stages = tuple[tuple[Row, ...], ...]


@dataclass(frozen=True)
class Squeeze:
    """How squeeze-excite looks in a network: `x * gate(W2 act(W1 mean(x)))`.

    `width` makes a number of channels from the fraction of the inner width. `act` None is that of
    the block.
    """

    width: Callable[[float], int] = round
    act: Activation | None = None
    gate: Activation = sigmoid


@dataclass(frozen=True)
class Style:
    """What the layers of a network have in common: activation, squeeze-excite, how kernels begin.

    `kernel_init` makes an initializer from the number of a convolution's groups.
    """

    act: Activation = relu
    squeeze: Squeeze = Squeeze()
    kernel_init: Starts = grouped


def _split(channels: int, parts: int) -> list[int]:
    """Return the widths of `parts` equal parts; the first takes what is left over."""
    rest = channels // parts
    return [channels - rest * (parts - 1), *[rest] * (parts - 1)]


def convolve(
    x: Array,
    features: int,
    name: str,
    size: Size = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    padding: str | None,
    use_bias: bool = False,
    kernel_init: Starts = grouped,
    dtype: DType,
) -> Array:
    """Convolve; `padding` None is symmetric, `kernel_init` makes an initializer from `groups`."""
    conv = partial(
        convolve,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        kernel_init=kernel_init,
        dtype=dtype,
    )
    if isinstance(size, tuple):
        parts, at = [], 0
        widths = zip(_split(x.shape[-1], len(size)), _split(features, len(size)), strict=True)
        for index, (width, out) in enumerate(widths):
            part = x[..., at : at + width]
            depthwise = width if groups > 1 else 1
            parts.append(conv(part, out, f"{name}.{index}", size[index], groups=depthwise))
            at += width
        return jnp.concatenate(parts, axis=-1)
    return Conv(
        features,
        (size, size),
        strides,
        padding=size // 2 if padding is None else padding,
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=kernel_init(groups),
        dtype=dtype,
        name=name,
    )(x)


def layer(
    x: Array,
    features: int,
    names: tuple[str, str],
    size: Size = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    act: Activation | None = None,
    padding: str | None,
    epsilon: float,
    momentum: float,
    kernel_init: Starts,
    dtype: DType,
    train: bool,
) -> Array:
    """Convolution, normalization and, but for None, activation."""
    conv = partial(convolve, groups=groups, padding=padding, kernel_init=kernel_init, dtype=dtype)
    x = conv(x, features, names[0], size, strides)
    norm = BatchNorm(momentum=momentum, epsilon=epsilon, dtype=dtype, name=names[1])
    x = norm(x, train=train)
    return x if act is None else act(x)


class _Block(nn.Module):
    """What the kinds of blocks share: fields, squeeze-excite and shortcut.

    `padding` None pads symmetrically; "SAME" as TensorFlow does, which differs at stride 2.
    """

    row: Row
    style: Style = Style()
    padding: str | None = None
    epsilon: float = 1e-5
    momentum: float = 0.9
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    def layers(self, train: bool) -> Callable[..., Array]:
        """Return `layer` with the block's settings."""
        return partial(
            layer,
            padding=self.padding,
            epsilon=self.epsilon,
            momentum=self.momentum,
            kernel_init=self.style.kernel_init,
            dtype=self.dtype,
            train=train,
        )

    @property
    def act(self) -> Activation:
        """The activation: the row's, or the network's."""
        return self.row.act or self.style.act

    def inner(self, x: Array) -> int:
        """Return the number of channels that the block widens its input to."""
        return round_width((self.row.base or x.shape[-1]) * self.row.expansion)

    def attend(self, x: Array, train: bool) -> Array:
        """Apply squeeze-excite where the row has it."""
        if not self.row.squeeze:
            return x
        squeeze = self.style.squeeze
        return SqueezeExcite(
            squeeze.width(x.shape[-1] * self.row.squeeze),
            act=squeeze.act or self.act,
            gate=squeeze.gate,
            names=("conv_reduce", "conv_expand"),
            kernel_init=kaiming_normal,
            dtype=self.dtype,
            name="se",
        )(x, train=train)

    def add(self, x: Array, y: Array, train: bool) -> Array:
        """Add the input where the row wants it and shapes agree."""
        if not self.row.shortcut or self.row.strides > 1 or x.shape != y.shape:
            return y
        return x + drop_path(y, self.drop_path_rate, train=train)


class Separable(_Block):
    """A depthwise convolution and a 1x1: an inverted residual without the expansion."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        row, conv, inner = self.row, self.layers(train), x.shape[-1]
        sizes, end = (row.kernel_size, row.strides), None if row.linear else self.act
        y = conv(x, inner, ("conv_dw", "bn1"), *sizes, groups=inner, act=self.act)
        y = conv(self.attend(y, train), row.width, ("conv_pw", "bn2"), act=end)
        return self.add(x, y, train)


class InvertedResidual(_Block):
    """A 1x1 expansion, a depthwise convolution, squeeze-excite and a linear 1x1."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        row, conv, inner = self.row, self.layers(train), self.inner(x)
        sizes = (row.kernel_size, row.strides)
        y = conv(x, inner, ("conv_pw", "bn1"), row.expand_size, act=self.act)
        y = conv(y, inner, ("conv_dw", "bn2"), *sizes, groups=inner, act=self.act)
        y = conv(self.attend(y, train), row.width, ("conv_pwl", "bn3"), row.project_size)
        return self.add(x, y, train)


class FusedResidual(_Block):
    """A dense k x k expansion in place of the first two convolutions, and a linear 1x1."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        row, conv, inner = self.row, self.layers(train), self.inner(x)
        sizes = (row.kernel_size, row.strides)
        groups = inner // row.group_size if row.group_size else 1
        y = conv(x, inner, ("conv_exp", "bn1"), *sizes, groups=groups, act=self.act)
        y = conv(self.attend(y, train), row.width, ("conv_pwl", "bn2"))
        return self.add(x, y, train)


class PlainLayer(_Block):
    """A convolution, normalization and activation."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        row, conv = self.row, self.layers(train)
        sizes = (row.kernel_size, row.strides)
        y = conv(x, row.width, ("conv", "bn1"), *sizes, act=self.act)
        return self.add(x, y, train)
