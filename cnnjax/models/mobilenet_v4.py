"""MobileNetV4, the convolutional ones: universal inverted bottlenecks.

Qin et al. 2024 (arXiv:2404.10518), as timm.models.mobilenetv3 defines mobilenetv4_conv; some blur
or average before they subsample (Zhang 2019, arXiv:1904.11486).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    classify,
    drop_path,
    kaiming_fan_in,
    kaiming_normal,
    relu,
    run,
    uniform_fan_out,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "FusedBottleneck", "MobileNetV4", "PlainLayer", "UniversalBottleneck"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
# The deviation counts one group's outputs: k * k of a depthwise kernel, which is its fan-in.


Halve = Callable[[Array], Array]
"""What subsamples a layer's output by 2; the layer then has no stride."""


class UniversalBottleneck(nn.Module):
    """A 1x1 expansion and a linear 1x1 with optional depthwise layers before and between.

    `first` and `middle` are the kernel sizes of the depthwise layers, 0 for none; the stride is in
    the last of the two, or in `halve` behind it.
    """

    width: int
    first: int
    middle: int
    strides: int = 1
    expansion: int = 4
    drop_path_rate: float = 0.0
    halve: Halve | None = None
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(ConvNormAct, dtype=self.dtype)
        depthwise = partial(layer, kernel_init=kaiming_fan_in)
        channels, y = x.shape[-1], x
        inner = round_width(channels * self.expansion)
        halve = self.halve if self.strides > 1 else None
        strides = 1 if halve else self.strides
        if self.first:
            first_strides = 1 if self.middle else strides
            y = depthwise(
                channels, self.first, first_strides, groups=channels, act=None, name="dw_start"
            )(y, train=train)
            y = halve(y) if halve and not self.middle else y
        y = layer(inner, 1, name="pw_exp")(y, train=train)
        if self.middle:
            y = depthwise(inner, self.middle, strides, groups=inner, name="dw_mid")(y, train=train)
            y = halve(y) if halve else y
        y = layer(self.width, 1, act=None, name="pw_proj")(y, train=train)
        if self.strides > 1 or x.shape != y.shape:
            return y
        return x + drop_path(y, self.drop_path_rate, train=train)


class FusedBottleneck(nn.Module):
    """A strided 3x3 expansion and a linear 1x1; `halve` takes the stride."""

    width: int
    strides: int = 2
    expansion: int = 4
    halve: Halve | None = None
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner = round_width(x.shape[-1] * self.expansion)
        halve = self.halve if self.strides > 1 else None
        y = conv(inner, (3, 3), 1 if halve else self.strides, padding=1, name="conv_exp")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = halve(y) if halve else y
        y = conv(self.width, (1, 1), name="conv_pwl")(y)
        return norm(name="bn2")(y, train=train)


class PlainLayer(nn.Module):
    """A convolution, normalization, ReLU."""

    width: int
    kernel_size: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        size = self.kernel_size
        y = _conv(
            self.width,
            (size, size),
            self.strides,
            padding=size // 2,
            dtype=self.dtype,
            name="conv",
        )(x)
        return relu(_norm(dtype=self.dtype, name="bn1")(y, train=train))


class MobileNetV4(nn.Module):
    """A strided stem, five stages of blocks, pooling, a 1x1 layer and a linear layer.

    A row of `stages[i]` is (class, ..., width) with the class's other fields in their order.
    `width_mult` scales these widths. `halve` takes the strides of the two kinds of bottleneck.
    `drop_path_rate` grows linearly from 0 at the first block.
    """

    stages: tuple[tuple[tuple[Any, ...], ...], ...]
    num_classes: int = 1000
    width_mult: float = 1.0
    stem_width: int = 32
    halve: Halve | None = None
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stage4" and "stage5" both have stride 32.
        """
        check_images(self, images)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(self.stem_width, (3, 3), 2, padding=1, name="conv_stem")(images)
        x = relu(norm(name="bn1")(x, train=train))
        total, block_index = sum(map(len, self.stages)), 0
        stages = {"stem": x}
        for stage, rows in enumerate(self.stages):
            for index, (kind, *numbers, width) in enumerate(rows):
                fields: dict[str, Any] = {}
                if kind is not PlainLayer:
                    fields["halve"] = self.halve
                if kind is UniversalBottleneck:
                    fields["drop_path_rate"] = self.drop_path_rate * block_index / total
                block = kind(
                    round_width(width * self.width_mult),
                    *numbers,
                    **fields,
                    dtype=self.dtype,
                    name=f"blocks.{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = conv(1280, (1, 1), name="conv_head")(x)
        x = relu(norm(name="norm_head")(x, train=train))[:, 0, 0, :]
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform_fan_out,
        )
        return (logits, stages) if features else logits


_F, _P, _U = FusedBottleneck, PlainLayer, UniversalBottleneck

# (PlainLayer, kernel size, strides, width); (FusedBottleneck, strides, expansion, width);
# (UniversalBottleneck, first, middle, strides, expansion, width)
_LAST = ((_P, 1, 1, 960),)
_SMALL = (
    ((_P, 3, 2, 32), (_P, 1, 1, 32)),
    ((_P, 3, 2, 96), (_P, 1, 1, 64)),
    ((_U, 5, 5, 2, 3, 96), *[(_U, 0, 3, 1, 2, 96)] * 4, (_U, 3, 0, 1, 4, 96)),
    (
        (_U, 3, 3, 2, 6, 128),
        (_U, 5, 5, 1, 4, 128),
        (_U, 0, 5, 1, 4, 128),
        (_U, 0, 5, 1, 3, 128),
        *[(_U, 0, 3, 1, 4, 128)] * 2,
    ),
    _LAST,
)
_MEDIUM = (
    ((_F, 2, 4, 48),),
    ((_U, 3, 5, 2, 4, 80), (_U, 3, 3, 1, 2, 80)),
    (
        (_U, 3, 5, 2, 6, 160),
        *[(_U, 3, 3, 1, 4, 160)] * 2,
        (_U, 3, 5, 1, 4, 160),
        (_U, 3, 3, 1, 4, 160),
        (_U, 3, 0, 1, 4, 160),
        (_U, 0, 0, 1, 2, 160),
        (_U, 3, 0, 1, 4, 160),
    ),
    (
        (_U, 5, 5, 2, 6, 256),
        (_U, 5, 5, 1, 4, 256),
        *[(_U, 3, 5, 1, 4, 256)] * 2,
        (_U, 0, 0, 1, 4, 256),
        (_U, 3, 0, 1, 4, 256),
        (_U, 3, 5, 1, 2, 256),
        (_U, 5, 5, 1, 4, 256),
        *[(_U, 0, 0, 1, 4, 256)] * 2,
        (_U, 5, 0, 1, 2, 256),
    ),
    _LAST,
)
_LARGE = (
    ((_F, 2, 4, 48),),
    ((_U, 3, 5, 2, 4, 96), (_U, 3, 3, 1, 4, 96)),
    (
        (_U, 3, 5, 2, 4, 192),
        *[(_U, 3, 3, 1, 4, 192)] * 3,
        (_U, 3, 5, 1, 4, 192),
        *[(_U, 5, 3, 1, 4, 192)] * 5,
        (_U, 3, 0, 1, 4, 192),
    ),
    (
        (_U, 5, 5, 2, 4, 512),
        *[(_U, 5, 5, 1, 4, 512)] * 3,
        (_U, 5, 0, 1, 4, 512),
        (_U, 5, 3, 1, 4, 512),
        *[(_U, 5, 0, 1, 4, 512)] * 2,
        (_U, 5, 3, 1, 4, 512),
        (_U, 5, 5, 1, 4, 512),
        *[(_U, 5, 0, 1, 4, 512)] * 3,
    ),
    _LAST,
)


def _mean(x: Array) -> Array:
    return ops.avg_pool(x, 2)


def _blur(x: Array) -> Array:
    return ops.blur_pool(x, mode="constant")


# fmt: off
NETWORKS = {
    "mobilenetv4_conv_small_035": Network(MobileNetV4, {"stages": _SMALL, "width_mult": 0.35}),
    "mobilenetv4_conv_small_050": Network(MobileNetV4, {"stages": _SMALL, "width_mult": 0.5}),
    "mobilenetv4_conv_small": Network(MobileNetV4, {"stages": _SMALL}),
    "mobilenetv4_conv_medium": Network(MobileNetV4, {"stages": _MEDIUM}),
    "mobilenetv4_conv_aa_medium": Network(MobileNetV4, {"stages": _MEDIUM, "halve": _mean}),
    "mobilenetv4_conv_blur_medium": Network(MobileNetV4, {"stages": _MEDIUM, "halve": _blur}),
    "mobilenetv4_conv_large": Network(MobileNetV4, {"stages": _LARGE, "stem_width": 24}),
    "mobilenetv4_conv_aa_large": Network(MobileNetV4, {"stages": _LARGE, "stem_width": 24, "halve": _mean}),
}
# fmt: on
