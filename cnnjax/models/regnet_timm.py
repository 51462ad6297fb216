"""RegNet X, Y, Z and V with the names and numbers that timm's weight files have.

Radosavovic et al. 2020 (arXiv:2003.13678); Dollar et al. 2021, RegNetZ (arXiv:2103.06877); V is Y
with pre-activation. As timm.models.regnet defines them. `cnnjax.models.regnet` has torchvision's:
other names, and widths that differ where a width lies between two multiples of the group width.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.byobnet_blocks import Bottleneck
from cnnjax.models.network import Network, check_images
from cnnjax.models.regnet import stage_shapes
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    classify,
    drop_path,
    drop_path_rates,
    identity,
    kaiming_normal,
    relu,
    run,
    silu,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "PreActivated", "RegNetTimm", "nearest"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_NAMES = ("conv1", "conv2", "conv3", "se", "downsample")


def nearest(width: float, divisor: int) -> int:
    """Return the multiple of `divisor` nearest to `width`; halves go to the even one.

    >>> nearest(392, 16), nearest(408, 16)
    (384, 416)
    """
    return round(width / divisor) * divisor


def _squeeze_excite(
    x: Array,
    inputs: int,
    *,
    train: bool,
    name: str,
    act: Activation = relu,
    dtype: DType = jnp.float32,
) -> Array:
    """Squeeze-excite through a quarter of the block's input channels."""
    return SqueezeExcite(
        round(inputs / 4), act=act, kernel_init=kaiming_normal, dtype=dtype, name=name
    )(x, train=train)


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
        # The deviation counts one group's outputs.
        init = nn.initializers.variance_scaling(2.0 * groups, "fan_out", "normal")

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
            kernel_init=init,
            name="conv2",
        )(y)
        y = _squeeze_excite(y, inputs, act=self.act, name="se", dtype=self.dtype, train=train)
        y = conv((1, 1), name="conv3")(norm_act(y, "norm3"))
        y = drop_path(y, self.drop_path_rate, train=train)
        if x.shape == y.shape:
            return x + y
        if not self.average:
            return y + conv((1, 1), self.strides, name="downsample")(x)
        if self.strides > 1:
            x = ops.avg_pool(x, 2, strides=2, ceil_mode=True, count_include_pad=False)
        return y + conv((1, 1), name="downsample.1")(x)


class RegNetTimm(nn.Module):
    """A strided 3x3 layer of width 32, four stages of blocks, pooling and a linear layer.

    `depth`, `w_0`, `w_a`, `w_m`, `group_width` and `rounding` are the parameters of `stage_shapes`.
    `block` is called with `width`, `strides`, `group_size`, `act`, `drop_path_rate`, `dtype` and
    `name`. With `pre_activated` the stem is a convolution only. A 1x1 layer of `last_width` or,
    where that is None, `last_act` precedes the pooling. `drop_path_rate` grows linearly from 0 at
    the first block to itself at the last.
    """

    block: Callable[..., nn.Module]
    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    rounding: Callable[[float, int], int] = nearest
    pre_activated: bool = False
    last_width: int | None = None
    last_act: Activation = identity
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
        layer = partial(ConvNormAct, norm=_norm, act=self.act, dtype=self.dtype)
        if self.pre_activated:
            x = _conv(32, (3, 3), 2, padding=1, dtype=self.dtype, name="stem")(images)
        else:
            x = layer(32, 3, 2, name="stem")(images, train=train)
        stages = {"stem": x}
        shapes = stage_shapes(
            self.depth, self.w_0, self.w_a, self.w_m, self.group_width, rounding=self.rounding
        )
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
            x = layer(self.last_width, 1, name="final_conv")(x, train=train)
        else:
            x = self.last_act(x)
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


def _row(
    kind: dict[str, Any], shape: tuple[int, int, float, float, int], *row: Any, **more: Any
) -> Network:
    input_size, parameters, statistics, gmacs, accuracy, weights = row
    numbers = dict(zip(("depth", "w_0", "w_a", "w_m", "group_width"), shape, strict=True))
    return Network(
        RegNetTimm,
        {**kind, **numbers, **more},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_block = partial(Bottleneck, ratio=1.0, names=_NAMES)
_X: dict[str, Any] = {"block": _block}
_Y: dict[str, Any] = {"block": partial(_block, attention=_squeeze_excite)}
_V: dict[str, Any] = {"pre_activated": True, "last_act": silu, "act": silu}
_Z: dict[str, Any] = {
    "block": partial(
        _block,
        ratio=4.0,
        attention=partial(_squeeze_excite, act=silu),
        shortcut=None,
        linear=True,
        zero_last=False,
    ),
    "act": silu,
    "last_act": silu,
}

# fmt: off
NETWORKS = {
    # kind, (depth, w_0, w_a, w_m, group width), input size, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, weights
    "regnetx_002": _row(_X, (13, 24, 36.44, 2.49, 8), 224, 2_684_792, 20_848, 0.199, 68.758, "pycls_in1k"),
    "regnetx_004": _row(_X, (22, 24, 24.48, 2.54, 16), 224, 5_157_512, 36_672, 0.3977, 72.482, "pycls_in1k"),
    "regnetx_004_tv": _row(_X, (22, 24, 24.48, 2.54, 16), 224, 5_495_976, 37_856, 0.4138, 74.596, "tv2_in1k", rounding=round_width),
    "regnetx_006": _row(_X, (16, 48, 36.97, 2.24, 24), 224, 6_196_040, 33_280, 0.6009, 73.904, "pycls_in1k"),
    "regnetx_008": _row(_X, (16, 56, 35.73, 2.28, 16), 224, 7_259_656, 37_312, 0.7997, 77.294, "tv2_in1k"),
    "regnetx_016": _row(_X, (18, 80, 34.01, 2.25, 24), 224, 9_190_136, 43_504, 1.603, 79.44, "tv2_in1k"),
    "regnetx_032": _row(_X, (25, 88, 26.31, 2.25, 48), 224, 15_296_552, 62_560, 3.177, 80.916, "tv2_in1k"),
    "regnetx_040": _row(_X, (23, 96, 38.65, 2.43, 40), 224, 22_118_248, 76_064, 3.964, 78.486, "pycls_in1k"),
    "regnetx_064": _row(_X, (17, 184, 60.83, 2.07, 56), 224, 26_209_256, 74_208, 6.46, 79.062, "pycls_in1k"),
    "regnetx_080": _row(_X, (23, 80, 49.56, 2.88, 120), 224, 39_572_648, 90_464, 7.995, 81.552, "tv2_in1k"),
    "regnetx_120": _row(_X, (19, 168, 73.36, 2.37, 112), 224, 46_106_056, 96_384, 12.087, 79.608, "pycls_in1k"),
    "regnetx_160": _row(_X, (22, 216, 55.59, 2.1, 128), 224, 54_278_536, 111_168, 15.941, 82.574, "tv2_in1k"),
    "regnetx_320": _row(_X, (23, 320, 69.86, 2.0, 168), 224, 107_811_560, 162_016, 31.736, 82.824, "tv2_in1k"),
    "regnety_002": _row(_Y, (13, 24, 36.44, 2.49, 8), 224, 3_162_996, 20_848, 0.1995, 70.288, "pycls_in1k"),
    "regnety_004": _row(_Y, (16, 48, 27.89, 2.09, 8), 224, 4_344_144, 27_152, 0.4018, 75.594, "tv2_in1k"),
    "regnety_006": _row(_Y, (15, 48, 32.54, 2.32, 16), 224, 6_055_160, 29_760, 0.6012, 75.274, "pycls_in1k"),
    "regnety_008": _row(_Y, (14, 56, 38.84, 2.4, 16), 224, 6_263_168, 29_888, 0.7972, 76.334, "pycls_in1k"),
    "regnety_008_tv": _row(_Y, (14, 56, 38.84, 2.4, 16), 224, 6_432_512, 30_432, 0.8339, 78.672, "tv2_in1k", rounding=round_width),
    "regnety_016": _row(_Y, (27, 48, 20.71, 2.65, 24), 224, 11_202_430, 52_672, 1.612, 80.668, "tv2_in1k"),
    "regnety_032": _row(_Y, (21, 80, 42.63, 2.66, 24), 224, 19_436_338, 66_160, 3.176, 82.724, "ra_in1k"),
    "regnety_040": _row(_Y, (22, 96, 31.41, 2.24, 64), 224, 20_646_656, 62_272, 3.973, 83.048, "ra3_in1k"),
    "regnety_064": _row(_Y, (25, 112, 33.22, 2.27, 72), 224, 30_583_252, 82_432, 6.355, 83.716, "ra3_in1k"),
    "regnety_080": _row(_Y, (17, 192, 76.82, 2.19, 56), 224, 39_180_068, 85_744, 7.963, 83.94, "ra3_in1k"),
    "regnety_080_tv": _row(_Y, (17, 192, 76.82, 2.19, 56), 224, 39_381_472, 86_528, 8.473, 82.58, "tv2_in1k", rounding=round_width),
    "regnety_120": _row(_Y, (19, 168, 73.36, 2.37, 112), 224, 51_822_544, 96_384, 12.092, 85.428, "sw_in12k_ft_in1k"),
    "regnety_160": _row(_Y, (18, 200, 106.23, 2.48, 112), 224, 83_590_140, 122_816, 15.912, 86.028, "sw_in12k_ft_in1k"),
    "regnety_320": _row(_Y, (20, 232, 115.89, 2.53, 232), 224, 145_046_770, 158_288, 32.28, 86.83, "swag_ft_in1k"),
    "regnety_640": _row(_Y, (20, 352, 147.48, 2.4, 328), 384, 281_378_786, 221_136, 188.221, 83.924, "seer_ft_in1k"),
    "regnety_1280": _row(_Y, (27, 456, 160.83, 2.52, 264), 384, 644_812_894, 415_072, 374.57, 88.228, "swag_ft_in1k"),
    "regnety_2560": _row(_Y, (27, 640, 230.83, 2.53, 373), 384, 1_282_601_138, 586_420, 747.236, 85.144, "seer_ft_in1k"),
    "regnetv_040": _row({**_V, "block": PreActivated}, (22, 96, 31.41, 2.24, 64), 224, 20_640_640, 56_256, 3.973, 83.204, "ra3_in1k"),
    "regnetv_064": _row({**_V, "block": partial(PreActivated, average=True)}, (25, 112, 33.22, 2.27, 72), 224, 30_576_052, 75_232, 6.355, 83.746, "ra3_in1k"),
    "regnetz_005": _row(_Z, (21, 16, 10.7, 2.51, 4), 224, 7_122_742, 54_384, 0.5072, None, None, last_width=1024),
    "regnetz_040": _row(_Z, (28, 48, 14.5, 2.226, 8), 256, 27_116_800, 130_528, 4.015, 84.242, "ra3_in1k"),
    "regnetz_040_h": _row(_Z, (28, 48, 14.5, 2.226, 8), 256, 28_938_880, 133_600, 4.068, 84.498, "ra3_in1k", last_width=1536),
}
# fmt: on
