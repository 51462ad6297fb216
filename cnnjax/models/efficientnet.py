"""EfficientNet, its edge variants, EfficientNetV2 and TinyNet.

Tan and Le 2019 and 2021 (arXiv:1905.11946, arXiv:2104.00298), tensorflow/tpu
(models/official/efficientnet/edgetpu), Han et al. 2020 (arXiv:2010.14819), as
torchvision.models.efficientnet and timm.models.efficientnet define them: the two differ in how
kernels begin, and in the norms of some. Names of variables are timm's; `cnnjax.weights.names` has
torchvision's.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from cnnjax.models.inverted_residual import (
    FusedResidual,
    InvertedResidual,
    PlainLayer,
    Row,
    Separable,
    Stages,
    Style,
)
from cnnjax.models.inverted_residual_net import (
    TENSORFLOW,
    Stem,
    described,
    networks,
    scaled,
    single,
)
from cnnjax.models.widths import round_width
from cnnjax.nn import relu, silu, ungrouped

__all__ = ["NETWORKS", "STAGES"]

_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)
_F, _P = partial(Row, FusedResidual), partial(Row, PlainLayer)

# Blocks are (kernel size, strides, expansion, width, blocks, squeeze-excite), the last as a fraction
# of the inner width: a quarter of the input's.
STAGES = single(
    _D(3, 1, 1, 16, 1, 1 / 4),
    _I(3, 2, 6, 24, 2, 1 / 24),
    _I(5, 2, 6, 40, 2, 1 / 24),
    _I(3, 2, 6, 80, 3, 1 / 24),
    _I(5, 1, 6, 112, 3, 1 / 24),
    _I(5, 2, 6, 192, 4, 1 / 24),
    _I(3, 1, 6, 320, 1, 1 / 24),
)
"""EfficientNet-B0's."""

_EDGE = single(
    # This one block widens as if its input had 24 channels, not the stem's 32.
    _F(3, 1, 4, 24, 1, base=24, shortcut=False),
    _F(3, 2, 8, 32, 2),
    _F(3, 2, 8, 48, 4),
    _I(5, 2, 8, 96, 5),
    _I(5, 1, 8, 144, 4),
    _I(5, 2, 8, 192, 2),
)


def _v2(first: Row, second: Row, third: Row, *rows: tuple[int, int, int, int]) -> Stages:
    """Return EfficientNetV2's stages; `rows` are strides, expansion, width and blocks."""
    return single(first, second, third, *(_I(3, *row, 1 / (4 * row[1])) for row in rows))


_V2_B = _v2(
    _P(3, 1, 1, 16, 1),
    _F(3, 2, 4, 32, 2),
    _F(3, 2, 4, 48, 2),
    (2, 4, 96, 3),
    (1, 6, 112, 5),
    (2, 6, 192, 8),
)
_V2_S = _v2(
    _P(3, 1, 1, 24, 2),
    _F(3, 2, 4, 48, 4),
    _F(3, 2, 4, 64, 4),
    (2, 4, 128, 6),
    (1, 6, 160, 9),
    (2, 6, 256, 15),
)
_V2_M = _v2(
    _P(3, 1, 1, 24, 3),
    _F(3, 2, 4, 48, 5),
    _F(3, 2, 4, 80, 5),
    (2, 4, 160, 7),
    (1, 6, 176, 14),
    (2, 6, 304, 18),
    (1, 6, 512, 5),
)
_V2_L = _v2(
    _P(3, 1, 1, 32, 4),
    _F(3, 2, 4, 64, 7),
    _F(3, 2, 4, 96, 7),
    (2, 4, 192, 10),
    (1, 6, 224, 19),
    (2, 6, 384, 25),
    (1, 6, 640, 7),
)
_V2_XL = _v2(
    _P(3, 1, 1, 32, 4),
    _F(3, 2, 4, 64, 8),
    _F(3, 2, 4, 96, 8),
    (2, 4, 192, 16),
    (1, 6, 256, 24),
    (2, 6, 512, 32),
    (1, 6, 640, 8),
)
# Made after the paper, before the authors' code: another first and last stage, another head.
_V2_RW = _v2(
    _F(3, 1, 1, 24, 2),
    _F(3, 2, 4, 48, 4),
    _F(3, 2, 4, 64, 4),
    (2, 4, 128, 6),
    (1, 6, 160, 9),
    (2, 6, 272, 15),
)
_V2_RW_M = tuple(
    (replace(row, repeats=repeats),)
    for (row,), repeats in zip(_V2_RW, (3, 5, 5, 8, 15, 24), strict=True)
)


def _b(width: float, depth: float, stages: Stages = STAGES, **fields: Any) -> dict[str, Any]:
    stem, head = round_width(32 * width), round_width(1280 * width)
    fields = {"act": silu, **fields}
    return described(scaled(stages, width, depth), stem=stem, head=head, **fields)


def _edge(width: float, depth: float, **fields: Any) -> dict[str, Any]:
    return _b(width, depth, _EDGE, act=relu, **fields)


def _v2_b(width: float, depth: float) -> dict[str, Any]:
    # Widths are rounded to the nearest multiple of 8, be it less than 0.9 of them.
    nearest = partial(round_width, limit=0.0)
    stages = scaled(_V2_B, width, depth, limit=0.0)
    stem, head = nearest(32 * width), nearest(1280 * width)
    return described(stages, stem=stem, head=head, act=silu, **TENSORFLOW)


def _rw(stages: Stages, head: int, width: float, depth: float) -> dict[str, Any]:
    stem, head = round_width(24 * width), round_width(head * width)
    return described(scaled(stages, width, depth), stem=stem, head=head, act=silu)


def _tiny(width: float, depth: float) -> dict[str, Any]:
    return described(scaled(STAGES, width, depth, whole=round), act=silu)


_TORCHVISION: dict[str, Any] = {
    "style": Style(silu, kernel_init=ungrouped),
    "drop_path_rate": 0.2,
}
# TensorFlow's statistics, kept where torchvision converted TensorFlow's weights.
_STATISTICS: dict[str, Any] = {"momentum": 0.99, "epsilon": 1e-3}


def _tv_b(width: float, depth: float, dropout: float, **fields: Any) -> dict[str, Any]:
    return {**_b(width, depth), **_TORCHVISION, "dropout_rate": dropout, **fields}


def _tv_v2(fields: dict[str, Any], dropout: float) -> dict[str, Any]:
    return {**fields, **_TORCHVISION, "dropout_rate": dropout, "epsilon": 1e-3}


_S, _M = described(_V2_S, stem=24, act=silu), described(_V2_M, stem=24, act=silu)
_L, _XL = described(_V2_L, act=silu), described(_V2_XL, act=silu)
# The stem and the first stride as in mobilenet_v2_cifar: 4x4 positions are left of 32.
_CIFAR = _tv_b(1.0, 1.0, 0.2, num_classes=10, stem=Stem(strides=(1, 1)))
_PAPER = {"reference": "arXiv:1905.11946", "dataset": "CIFAR-10"}

# fmt: off
NETWORKS = {
    **networks({
        # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
        "efficientnet_b0": (_tv_b(1.0, 1.0, 0.2), 224, 5_288_548, 42_016, 0.3858, 77.692, "IMAGENET1K_V1"),
        "efficientnet_b1": (_tv_b(1.0, 1.1, 0.2), 240, 7_794_184, 62_048, 0.6868, 79.838, "IMAGENET1K_V2"),
        "efficientnet_b2": (_tv_b(1.1, 1.2, 0.3), 288, 9_109_994, 67_568, 1.088, 80.608, "IMAGENET1K_V1"),
        "efficientnet_b3": (_tv_b(1.2, 1.4, 0.3), 300, 12_233_232, 87_296, 1.827, 82.008, "IMAGENET1K_V1"),
        "efficientnet_b4": (_tv_b(1.4, 1.8, 0.4), 380, 19_341_616, 125_200, 4.394, 83.384, "IMAGENET1K_V1"),
        "efficientnet_b5": (_tv_b(1.6, 2.2, 0.4, **_STATISTICS), 456, 30_389_784, 172_736, 10.266, 83.444, "IMAGENET1K_V1"),
        "efficientnet_b6": (_tv_b(1.8, 2.6, 0.5, **_STATISTICS), 528, 43_040_704, 224_432, 19.068, 84.008, "IMAGENET1K_V1"),
        "efficientnet_b7": (_tv_b(2.0, 3.1, 0.5, **_STATISTICS), 600, 66_347_960, 310_720, 37.746, 84.122, "IMAGENET1K_V1"),
        "efficientnet_v2_s": (_tv_v2(_S, 0.2), 384, 21_458_488, 153_872, 8.366, 84.228, "IMAGENET1K_V1"),
        "efficientnet_v2_m": (_tv_v2(_M, 0.3), 480, 54_139_356, 292_032, 24.582, 85.112, "IMAGENET1K_V1"),
        "efficientnet_v2_l": (_tv_v2(_L, 0.4), 480, 118_515_272, 512_576, 56.08, 85.808, "IMAGENET1K_V1"),
    }, reference="torchvision"),
    **networks({
        "efficientnet_b0_cifar": (_CIFAR, 32, 4_020_358, 42_016, 0.1162, None, None),
    }, **_PAPER),
    **networks({
        "efficientnet_b8": (_b(2.2, 3.6), 672, 87_413_142, 380_032, 62.597, None, None),
        "efficientnet_l2": (_b(4.3, 5.3), 800, 480_309_308, 1_090_688, 475.704, None, None),
        "tf_efficientnet_b0": (_b(1.0, 1.0, **TENSORFLOW), 224, 5_288_548, 42_016, 0.3858, 78.68, "ns_jft_in1k"),
        "tf_efficientnet_b1": (_b(1.0, 1.1, **TENSORFLOW), 240, 7_794_184, 62_048, 0.6868, 81.388, "ns_jft_in1k"),
        "tf_efficientnet_b2": (_b(1.1, 1.2, **TENSORFLOW), 260, 9_109_994, 67_568, 0.9936, 82.412, "ns_jft_in1k"),
        "tf_efficientnet_b3": (_b(1.2, 1.4, **TENSORFLOW), 300, 12_233_232, 87_296, 1.827, 84.054, "ns_jft_in1k"),
        "tf_efficientnet_b4": (_b(1.4, 1.8, **TENSORFLOW), 380, 19_341_616, 125_200, 4.394, 85.156, "ns_jft_in1k"),
        "tf_efficientnet_b5": (_b(1.6, 2.2, **TENSORFLOW), 456, 30_389_784, 172_736, 10.266, 86.096, "ns_jft_in1k"),
        "tf_efficientnet_b6": (_b(1.8, 2.6, **TENSORFLOW), 528, 43_040_704, 224_432, 19.068, 86.476, "ns_jft_in1k"),
        "tf_efficientnet_b7": (_b(2.0, 3.1, **TENSORFLOW), 600, 66_347_960, 310_720, 37.746, 86.85, "ns_jft_in1k"),
        "tf_efficientnet_b8": (_b(2.2, 3.6, **TENSORFLOW), 672, 87_413_142, 380_032, 62.597, 85.358, "ap_in1k"),
        "tf_efficientnet_l2": (_b(4.3, 5.3, **TENSORFLOW), 475, 480_309_308, 1_090_688, 170.893, 88.36, "ns_jft_in1k"),
        "efficientnet_es": (_edge(1.0, 1.0), 224, 5_438_392, 51_440, 1.789, 78.1, "ra_in1k"),
        "efficientnet_em": (_edge(1.0, 1.1), 240, 6_899_496, 67_808, 3.013, 79.256, "ra2_in1k"),
        "efficientnet_el": (_edge(1.2, 1.4), 300, 10_589_712, 92_208, 7.936, 81.308, "ra_in1k"),
        "tf_efficientnet_es": (_edge(1.0, 1.0, **TENSORFLOW), 224, 5_438_392, 51_440, 1.789, 76.608, "in1k"),
        "tf_efficientnet_em": (_edge(1.0, 1.1, **TENSORFLOW), 240, 6_899_496, 67_808, 3.013, 78.128, "in1k"),
        "tf_efficientnet_el": (_edge(1.2, 1.4, **TENSORFLOW), 300, 10_589_712, 92_208, 7.936, 80.246, "in1k"),
        "efficientnetv2_s": (_S, 288, 21_458_488, 153_872, 4.708, None, None),
        "efficientnetv2_m": (_M, 320, 54_139_356, 292_032, 10.932, None, None),
        "efficientnetv2_l": (_L, 384, 118_515_272, 512_576, 35.899, None, None),
        "efficientnetv2_xl": (_XL, 384, 208_119_808, 777_024, 52.529, None, None),
        "tf_efficientnetv2_b0": (_v2_b(1.0, 1.0), 192, 7_139_704, 60_608, 0.5282, 78.386, "in1k"),
        "tf_efficientnetv2_b1": (_v2_b(1.0, 1.1), 192, 8_141_052, 71_072, 0.747, 79.518, "in1k"),
        "tf_efficientnetv2_b2": (_v2_b(1.1, 1.2), 208, 10_096_086, 82_288, 1.043, 80.226, "in1k"),
        "tf_efficientnetv2_b3": (_v2_b(1.2, 1.4), 240, 14_358_406, 109_216, 1.908, 82.634, "in21k_ft_in1k"),
        "tf_efficientnetv2_s": (_S | TENSORFLOW, 300, 21_458_488, 153_872, 5.308, 84.332, "in21k_ft_in1k"),
        "tf_efficientnetv2_m": (_M | TENSORFLOW, 384, 54_139_356, 292_032, 15.737, 86.014, "in21k_ft_in1k"),
        "tf_efficientnetv2_l": (_L | TENSORFLOW, 384, 118_515_272, 512_576, 35.899, 86.802, "in21k_ft_in1k"),
        "tf_efficientnetv2_xl": (_XL | TENSORFLOW, 384, 208_119_808, 777_024, 52.529, 86.754, "in21k_ft_in1k"),
        "efficientnetv2_rw_t": (_rw(_V2_S, 1280, 0.8, 0.9), 224, 13_649_388, 119_024, 1.913, 82.354, "ra2_in1k"),
        "efficientnetv2_rw_s": (_rw(_V2_RW, 1792, 1.0, 1.0), 288, 23_941_296, 160_848, 4.863, 83.83, "ra2_in1k"),
        "efficientnetv2_rw_m": (_rw(_V2_RW_M, 1792, 1.2, 1.0), 320, 53_236_442, 307_232, 12.627, 84.83, "agc_in1k"),
        "tinynet_a": (_tiny(1.0, 1.2), 192, 6_187_972, 52_000, 0.3369, 77.666, "in1k"),
        "tinynet_b": (_tiny(0.75, 1.1), 188, 3_730_562, 33_328, 0.2007, 74.946, "in1k"),
        "tinynet_c": (_tiny(0.54, 0.85), 184, 2_457_234, 21_552, 0.09954, 71.214, "in1k"),
        "tinynet_d": (_tiny(0.54, 0.695), 152, 2_338_446, 17_808, 0.05158, 66.936, "in1k"),
        "tinynet_e": (_tiny(0.51, 0.6), 106, 2_042_972, 14_240, 0.02436, 59.874, "in1k"),
    }),
}
# fmt: on
