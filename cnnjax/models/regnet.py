"""RegNet X, Y, Z and V: networks whose block widths lie on a quantised line.

Radosavovic et al. 2020 (arXiv:2003.13678): Y is X with squeeze-excite; Dollar et al. 2021, RegNetZ
(arXiv:2103.06877); V is Y with pre-activation. As torchvision.models.regnet and timm.models.regnet
define them: widths differ between the two where one lies between two multiples of the group width,
and in how kernels begin. Names of variables are timm's; `cnnjax.weights.names` has torchvision's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    averaged,
    classify,
    drop_path,
    drop_path_rates,
    grouped,
    kaiming_normal,
    relu,
    run,
    silu,
    ungrouped,
    uniform_bias,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "NETWORKS",
    "Line",
    "PreActivated",
    "RegNet",
    "RegNetBlock",
    "RegNetZBlock",
    "nearest",
]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_last_norm = partial(_norm, scale_init=nn.initializers.zeros_init())
_layer = partial(ConvNormAct, norm=_norm)
_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_squeeze_excite = partial(SqueezeExcite, kernel_init=kaiming_normal)


def nearest(width: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `width`; halves go to the even one.

    >>> nearest(392, 16), nearest(408, 16)
    (384, 416)
    """
    return round(width / divisor) * divisor


@dataclass(frozen=True)
class Line:
    """The widths of all blocks: section 3.3 of the paper.

    Block `j` of `depth` wants the width `u = w_0 + w_a j`. It gets `w_0 w_m^s` with the whole
    number `s` nearest to `log(u / w_0) / log(w_m)`, rounded to a multiple of 8, then by `rounding`
    to one of `group_width`; blocks of one width are a stage.
    """

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    rounding: Callable[[float, int], int] = nearest

    def stages(self) -> list[tuple[int, int, int]]:
        """Return (blocks, width, group width) of each stage.

        >>> Line(22, 24, 24.48, 2.54, 16, round_width).stages()
        [(1, 32, 16), (2, 64, 16), (7, 160, 16), (12, 400, 16)]
        """
        blocks, ratio = range(self.depth), log(self.w_m)
        exponents = (round(log(1 + self.w_a * block / self.w_0) / ratio) for block in blocks)
        widths = [8 * round(self.w_0 * self.w_m**exponent / 8) for exponent in exponents]
        groups = {width: min(self.group_width, width) for width in sorted(set(widths))}
        return [
            (widths.count(width), self.rounding(width, group), group)
            for width, group in groups.items()
        ]


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 layers of one width, and a shortcut, projected where it must.

    `attention`, after the 3x3, is called with a quarter of the input's channels, `dtype` and
    `name`. `kernel_init` makes the 3x3's initializer from its number of groups. With `zero_last`
    the branch begins at zero.
    """

    width: int
    strides: int = 1
    group_size: int = 1
    attention: Callable[..., nn.Module] | None = None
    kernel_init: Callable[[int], nn.initializers.Initializer] = grouped
    zero_last: bool = True
    act: Activation = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer, groups = partial(_layer, self.width, dtype=self.dtype), self.width // self.group_size
        spatial = partial(layer, groups=groups, kernel_init=self.kernel_init(groups), act=self.act)
        y = layer(1, act=self.act, name="conv1")(x, train=train)
        y = spatial(3, self.strides, name="conv2")(y, train=train)
        if self.attention is not None:
            squeezed = round(x.shape[-1] / 4)
            y = self.attention(squeezed, dtype=self.dtype, name="se")(y, train=train)
        norm = _last_norm if self.zero_last else _norm
        y = layer(1, norm=norm, act=None, name="conv3")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.strides > 1 or x.shape[-1] != self.width:
            x = layer(1, self.strides, act=None, name="downsample")(x, train=train)
        return self.act(x + y)


class RegNetZBlock(nn.Module):
    """An inverted residual: four times `width` inside, a linear end, a shortcut where shapes agree."""

    width: int
    strides: int = 1
    group_size: int = 1
    act: Activation = silu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer, inner = partial(_layer, act=self.act, dtype=self.dtype), 4 * self.width
        groups = inner // self.group_size
        spatial = partial(layer, inner, groups=groups, kernel_init=grouped(groups))
        y = layer(inner, 1, name="conv1")(x, train=train)
        y = spatial(3, self.strides, name="conv2")(y, train=train)
        squeezed = round(x.shape[-1] / 4)
        y = _squeeze_excite(squeezed, act=self.act, dtype=self.dtype, name="se")(y, train=train)
        y = layer(self.width, 1, act=None, name="conv3")(y, train=train)
        same = self.strides == 1 and x.shape[-1] == self.width
        return x + drop_path(y, self.drop_path_rate, train=train) if same else y


class PreActivated(nn.Module):
    """Norm and activation before each of 1x1, grouped 3x3 and 1x1 convolutions, and a shortcut.

    Squeeze-excite follows the 3x3. The shortcut begins after the first activation; where the shape
    changes it is a convolution, with `average` after a 2x2 mean that takes the stride.
    """

    width: int
    strides: int = 1
    group_size: int = 1
    average: bool = False
    act: Activation = silu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, groups = partial(_conv, self.width, dtype=self.dtype), self.width // self.group_size

        def norm_act(x: Array, name: str) -> Array:
            return self.act(_norm(dtype=self.dtype, name=name)(x, train=train))

        inputs = x.shape[-1]
        x = norm_act(x, "norm1")
        y = norm_act(conv((1, 1), name="conv1")(x), "norm2")
        y = conv(
            (3, 3),
            self.strides,
            padding=1,
            feature_group_count=groups,
            kernel_init=grouped(groups),
            name="conv2",
        )(y)
        squeezed = round(inputs / 4)
        y = _squeeze_excite(squeezed, act=self.act, dtype=self.dtype, name="se")(y, train=train)
        y = conv((1, 1), name="conv3")(norm_act(y, "norm3"))
        y = drop_path(y, self.drop_path_rate, train=train)
        if x.shape == y.shape:
            return x + y
        if not self.average:
            return y + conv((1, 1), self.strides, name="downsample")(x)
        return y + conv((1, 1), name="downsample.1")(averaged(x, self.strides))


class RegNet(nn.Module):
    """A strided 3x3 stem of width 32, stages of blocks on a line, pooling and a linear layer.

    `block` is called with `width`, `strides`, `group_size`, `act`, `drop_path_rate`, `dtype` and
    `name`. With `bare` the stem is a convolution only. A layer of `last_width` precedes the
    pooling, or `act` alone where that is 0, or nothing where it is None. `drop_path_rate` grows linearly from 0
    at the first block to itself at the last.
    """

    line: Line
    block: Callable[..., nn.Module] = RegNetBlock
    bare: bool = False
    last_width: int | None = None
    act: Activation = relu
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        if self.bare:
            x = _conv(32, (3, 3), 2, padding=1, dtype=self.dtype, name="stem")(images)
        else:
            x = _layer(32, 3, 2, act=self.act, dtype=self.dtype, name="stem")(images, train=train)
        stages, shapes = {"stem": x}, self.line.stages()
        rates = drop_path_rates(self.drop_path_rate, [depth for depth, *_ in shapes])
        for stage, (depth, width, group_width) in enumerate(shapes, start=1):
            for index in range(depth):
                block = self.block(
                    width=width,
                    strides=2 if index == 0 else 1,
                    group_size=group_width,
                    act=self.act,
                    drop_path_rate=rates[stage - 1][index],
                    dtype=self.dtype,
                    name=f"s{stage}.b{index + 1}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        if self.last_width:
            last = _layer(self.last_width, 1, act=self.act, dtype=self.dtype, name="final_conv")
            x = last(x, train=train)
        elif self.last_width == 0:
            x = self.act(x)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, stages) if features else logits


_round = partial(Line, rounding=round_width)
_block = partial(RegNetBlock, kernel_init=ungrouped, zero_last=False)
_TV_X: dict[str, Any] = {"block": _block}
_TV_Y: dict[str, Any] = {
    "block": partial(_block, attention=partial(_squeeze_excite, bias_init=uniform_bias))
}
_X: dict[str, Any] = {}
_Y: dict[str, Any] = {"block": partial(RegNetBlock, attention=_squeeze_excite)}
_V: dict[str, Any] = {"block": PreActivated, "bare": True, "last_width": 0, "act": silu}
_V_MEAN = _V | {"block": partial(PreActivated, average=True)}
_Z: dict[str, Any] = {"block": RegNetZBlock, "last_width": 0, "act": silu}

# fmt: off
NETWORKS = {
    "regnet_x_400mf": Network(RegNet, {"line": _round(22, 24, 24.48, 2.54, 16), **_TV_X}),
    "regnet_x_800mf": Network(RegNet, {"line": _round(16, 56, 35.73, 2.28, 16), **_TV_X}),
    "regnet_x_1_6gf": Network(RegNet, {"line": _round(18, 80, 34.01, 2.25, 24), **_TV_X}),
    "regnet_x_3_2gf": Network(RegNet, {"line": _round(25, 88, 26.31, 2.25, 48), **_TV_X}),
    "regnet_x_8gf": Network(RegNet, {"line": _round(23, 80, 49.56, 2.88, 120), **_TV_X}),
    "regnet_x_16gf": Network(RegNet, {"line": _round(22, 216, 55.59, 2.1, 128), **_TV_X}),
    "regnet_x_32gf": Network(RegNet, {"line": _round(23, 320, 69.86, 2.0, 168), **_TV_X}),
    "regnet_y_400mf": Network(RegNet, {"line": _round(16, 48, 27.89, 2.09, 8), **_TV_Y}),
    "regnet_y_800mf": Network(RegNet, {"line": _round(14, 56, 38.84, 2.4, 16), **_TV_Y}),
    "regnet_y_1_6gf": Network(RegNet, {"line": _round(27, 48, 20.71, 2.65, 24), **_TV_Y}),
    "regnet_y_3_2gf": Network(RegNet, {"line": _round(21, 80, 42.63, 2.66, 24), **_TV_Y}),
    "regnet_y_8gf": Network(RegNet, {"line": _round(17, 192, 76.82, 2.19, 56), **_TV_Y}),
    "regnet_y_16gf": Network(RegNet, {"line": _round(18, 200, 106.23, 2.48, 112), **_TV_Y}),
    "regnet_y_32gf": Network(RegNet, {"line": _round(20, 232, 115.89, 2.53, 232), **_TV_Y}),
    "regnet_y_128gf": Network(RegNet, {"line": _round(27, 456, 160.83, 2.52, 264), **_TV_Y}),
    "regnetx_002": Network(RegNet, {"line": Line(13, 24, 36.44, 2.49, 8), **_X}),
    "regnetx_004": Network(RegNet, {"line": Line(22, 24, 24.48, 2.54, 16), **_X}),
    "regnetx_004_tv": Network(RegNet, {"line": _round(22, 24, 24.48, 2.54, 16), **_X}),
    "regnetx_006": Network(RegNet, {"line": Line(16, 48, 36.97, 2.24, 24), **_X}),
    "regnetx_008": Network(RegNet, {"line": Line(16, 56, 35.73, 2.28, 16), **_X}),
    "regnetx_016": Network(RegNet, {"line": Line(18, 80, 34.01, 2.25, 24), **_X}),
    "regnetx_032": Network(RegNet, {"line": Line(25, 88, 26.31, 2.25, 48), **_X}),
    "regnetx_040": Network(RegNet, {"line": Line(23, 96, 38.65, 2.43, 40), **_X}),
    "regnetx_064": Network(RegNet, {"line": Line(17, 184, 60.83, 2.07, 56), **_X}),
    "regnetx_080": Network(RegNet, {"line": Line(23, 80, 49.56, 2.88, 120), **_X}),
    "regnetx_120": Network(RegNet, {"line": Line(19, 168, 73.36, 2.37, 112), **_X}),
    "regnetx_160": Network(RegNet, {"line": Line(22, 216, 55.59, 2.1, 128), **_X}),
    "regnetx_320": Network(RegNet, {"line": Line(23, 320, 69.86, 2.0, 168), **_X}),
    "regnety_002": Network(RegNet, {"line": Line(13, 24, 36.44, 2.49, 8), **_Y}),
    "regnety_004": Network(RegNet, {"line": Line(16, 48, 27.89, 2.09, 8), **_Y}),
    "regnety_006": Network(RegNet, {"line": Line(15, 48, 32.54, 2.32, 16), **_Y}),
    "regnety_008": Network(RegNet, {"line": Line(14, 56, 38.84, 2.4, 16), **_Y}),
    "regnety_008_tv": Network(RegNet, {"line": _round(14, 56, 38.84, 2.4, 16), **_Y}),
    "regnety_016": Network(RegNet, {"line": Line(27, 48, 20.71, 2.65, 24), **_Y}),
    "regnety_032": Network(RegNet, {"line": Line(21, 80, 42.63, 2.66, 24), **_Y}),
    "regnety_040": Network(RegNet, {"line": Line(22, 96, 31.41, 2.24, 64), **_Y}),
    "regnety_064": Network(RegNet, {"line": Line(25, 112, 33.22, 2.27, 72), **_Y}),
    "regnety_080": Network(RegNet, {"line": Line(17, 192, 76.82, 2.19, 56), **_Y}),
    "regnety_080_tv": Network(RegNet, {"line": _round(17, 192, 76.82, 2.19, 56), **_Y}),
    "regnety_120": Network(RegNet, {"line": Line(19, 168, 73.36, 2.37, 112), **_Y}),
    "regnety_160": Network(RegNet, {"line": Line(18, 200, 106.23, 2.48, 112), **_Y}),
    "regnety_320": Network(RegNet, {"line": Line(20, 232, 115.89, 2.53, 232), **_Y}),
    "regnety_640": Network(RegNet, {"line": Line(20, 352, 147.48, 2.4, 328), **_Y}),
    "regnety_1280": Network(RegNet, {"line": Line(27, 456, 160.83, 2.52, 264), **_Y}),
    "regnety_2560": Network(RegNet, {"line": Line(27, 640, 230.83, 2.53, 373), **_Y}),
    "regnetv_040": Network(RegNet, {"line": Line(22, 96, 31.41, 2.24, 64), **_V}),
    "regnetv_064": Network(RegNet, {"line": Line(25, 112, 33.22, 2.27, 72), **_V_MEAN}),
    "regnetz_005": Network(RegNet, {"line": Line(21, 16, 10.7, 2.51, 4), **_Z, "last_width": 1024}),
    "regnetz_040": Network(RegNet, {"line": Line(28, 48, 14.5, 2.226, 8), **_Z}),
    "regnetz_040_h": Network(RegNet, {"line": Line(28, 48, 14.5, 2.226, 8), **_Z, "last_width": 1536}),
}
# fmt: on
