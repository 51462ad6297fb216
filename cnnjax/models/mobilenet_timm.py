"""MobileNetV2, MobileNetV3 and networks of their kind that were searched for, under timm's names.

MobileNetV2 (arXiv:1801.04381), MnasNet (arXiv:1807.11626), Single-Path NAS (arXiv:1904.02877), FBNet
(arXiv:1812.03443), MobileNetV3 (arXiv:1905.02244), LCNet (arXiv:2109.15099), FBNetV3
(arXiv:2006.02049) and MobileNet-EdgeTPU (arXiv:2204.14007), as timm.models.efficientnet and
timm.models.mobilenetv3 define them. `cnnjax.models.mobilenet_v2`, `mobilenet_v3` and `mnasnet` have
torchvision's, whose variables have other names.
"""

from functools import partial
from typing import Any

from cnnjax.models.inverted_residual import (
    FusedResidual,
    InvertedResidual,
    PlainLayer,
    Row,
    Separable,
    Squeeze,
    Stages,
)
from cnnjax.models.inverted_residual_net import (
    TENSORFLOW,
    V3_HEAD,
    V3_SQUEEZE,
    networks,
    scaled,
    single,
)
from cnnjax.models.widths import round_width
from cnnjax.nn import hard_sigmoid, hard_swish, relu, relu6

__all__ = ["NETWORKS"]

_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)
_F, _P = partial(Row, FusedResidual), partial(Row, PlainLayer, shortcut=False)
_DR, _IR = partial(_D, act=relu), partial(_I, act=relu)

# Blocks are (kernel size, strides, expansion, width, blocks, squeeze-excite), the last as a fraction
# of the inner width.
_V2 = single(
    _D(3, 1, 1, 16, 1),
    _I(3, 2, 6, 24, 2),
    _I(3, 2, 6, 32, 3),
    _I(3, 2, 6, 64, 4),
    _I(3, 1, 6, 96, 3),
    _I(3, 2, 6, 160, 3),
    _I(3, 1, 6, 320, 1),
)
_MNAS_B1 = single(
    _D(3, 1, 1, 16, 1, shortcut=False),
    _I(3, 2, 3, 24, 3),
    _I(5, 2, 3, 40, 3),
    _I(5, 2, 6, 80, 3),
    _I(3, 1, 6, 96, 2),
    _I(5, 2, 6, 192, 4),
    _I(3, 1, 6, 320, 1, shortcut=False),
)
_MNAS_A1 = single(
    _D(3, 1, 1, 16, 1, shortcut=False),
    _I(3, 2, 6, 24, 2),
    _I(5, 2, 3, 40, 3, 1 / 12),
    _I(3, 2, 6, 80, 4),
    _I(3, 1, 6, 112, 2, 1 / 24),
    _I(5, 2, 6, 160, 3, 1 / 24),
    _I(3, 1, 6, 320, 1),
)
_MNAS_SMALL = single(
    _D(3, 1, 1, 8, 1),
    _I(3, 2, 3, 16, 1),
    _I(3, 2, 6, 16, 2),
    _I(5, 2, 6, 32, 4, 1 / 24),
    _I(3, 1, 6, 32, 3, 1 / 24),
    _I(5, 2, 6, 88, 3, 1 / 24),
    _I(3, 1, 6, 144, 1),
)
_SPNAS = (
    (_D(3, 1, 1, 16, 1, shortcut=False),),
    (_I(3, 2, 3, 24, 3),),
    (_I(5, 2, 6, 40, 1), _I(3, 1, 3, 40, 3)),
    (_I(5, 2, 6, 80, 1), _I(3, 1, 3, 80, 3)),
    (_I(5, 1, 6, 96, 1), _I(5, 1, 3, 96, 3)),
    (_I(5, 2, 6, 192, 4),),
    (_I(3, 1, 6, 320, 1, shortcut=False),),
)
_FBNET_C = (
    (_I(3, 1, 1, 16, 1),),
    (_I(3, 2, 6, 24, 1), _I(3, 1, 1, 24, 2)),
    (_I(5, 2, 6, 32, 1), _I(5, 1, 3, 32, 1), _I(5, 1, 6, 32, 1), _I(3, 1, 6, 32, 1)),
    (_I(5, 2, 6, 64, 1), _I(5, 1, 3, 64, 1), _I(5, 1, 6, 64, 2)),
    (_I(5, 1, 6, 112, 3), _I(5, 1, 3, 112, 1)),
    (_I(5, 2, 6, 184, 4),),
    (_I(3, 1, 6, 352, 1),),
)
_V3_LARGE = (
    (_DR(3, 1, 1, 16, 1),),
    (_IR(3, 2, 4, 24, 1), _IR(3, 1, 3, 24, 1)),
    (_IR(5, 2, 3, 40, 3, 1 / 4),),
    (_I(3, 2, 6, 80, 1), _I(3, 1, 2.5, 80, 1), _I(3, 1, 2.3, 80, 2)),
    (_I(3, 1, 6, 112, 2, 1 / 4),),
    (_I(5, 2, 6, 160, 3, 1 / 4),),
    (_P(1, 1, 1, 960, 1),),
)
_V3_SMALL = (
    (_DR(3, 2, 1, 16, 1, 1 / 4),),
    (_IR(3, 2, 4.5, 24, 1), _IR(3, 1, 3.67, 24, 1)),
    (_I(5, 2, 4, 40, 1, 1 / 4), _I(5, 1, 6, 40, 2, 1 / 4)),
    (_I(5, 1, 3, 48, 2, 1 / 4),),
    (_I(5, 2, 6, 96, 3, 1 / 4),),
    (_P(1, 1, 1, 576, 1),),
)
# 3x3 and ReLU everywhere, no squeeze-excite.
_V3_LARGE_MINIMAL = (
    (_D(3, 1, 1, 16, 1),),
    (_I(3, 2, 4, 24, 1), _I(3, 1, 3, 24, 1)),
    (_I(3, 2, 3, 40, 3),),
    (_I(3, 2, 6, 80, 1), _I(3, 1, 2.5, 80, 1), _I(3, 1, 2.3, 80, 2)),
    (_I(3, 1, 6, 112, 2),),
    (_I(3, 2, 6, 160, 3),),
    (_P(1, 1, 1, 960, 1),),
)
_V3_SMALL_MINIMAL = (
    (_D(3, 2, 1, 16, 1),),
    (_I(3, 2, 4.5, 24, 1), _I(3, 1, 3.67, 24, 1)),
    (_I(3, 2, 4, 40, 1), _I(3, 1, 6, 40, 2)),
    (_I(3, 1, 3, 48, 2),),
    (_I(3, 2, 6, 96, 3),),
    (_P(1, 1, 1, 576, 1),),
)
_V3_RW = ((_DR(3, 1, 1, 16, 1, shortcut=False),), *_V3_LARGE[1:])
_S = partial(_D, linear=False, shortcut=False)
_LC = (
    (_S(3, 1, 1, 32, 1),),
    (_S(3, 2, 1, 64, 2),),
    (_S(3, 2, 1, 128, 2),),
    (_S(3, 2, 1, 256, 1), _S(5, 1, 1, 256, 1)),
    (_S(5, 1, 1, 256, 4),),
    (_S(5, 2, 1, 512, 2, 1 / 4),),
)
_FBNET_V3_B = (
    (_D(3, 1, 1, 16, 2),),
    (_I(5, 2, 4, 24, 1), _I(5, 1, 2, 24, 3)),
    (_I(5, 2, 5, 40, 1, 1 / 20), _I(5, 1, 3, 40, 4, 1 / 12)),
    (_I(5, 2, 5, 72, 1), _I(3, 1, 3, 72, 4)),
    (_I(3, 1, 5, 120, 1, 1 / 20), _I(5, 1, 3, 120, 5, 1 / 12)),
    (_I(3, 2, 6, 184, 1, 1 / 24), _I(5, 1, 4, 184, 5, 1 / 16), _I(5, 1, 6, 224, 1, 1 / 24)),
    (_P(1, 1, 1, 1344, 1),),
)
_FBNET_V3_D = (
    (_D(3, 1, 1, 16, 2),),
    (_I(3, 2, 5, 24, 1), _I(3, 1, 2, 24, 5)),
    (_I(5, 2, 4, 40, 1, 1 / 16), _I(3, 1, 3, 40, 4, 1 / 12)),
    (_I(3, 2, 5, 72, 1), _I(3, 1, 3, 72, 4)),
    (_I(3, 1, 5, 128, 1, 1 / 20), _I(5, 1, 3, 128, 6, 1 / 12)),
    (_I(3, 2, 6, 208, 1, 1 / 24), _I(5, 1, 5, 208, 5, 1 / 20), _I(5, 1, 6, 240, 1, 1 / 24)),
    (_P(1, 1, 1, 1440, 1),),
)
_FBNET_V3_G = (
    (_D(3, 1, 1, 24, 3),),
    (_I(5, 2, 4, 40, 1), _I(5, 1, 2, 40, 4)),
    (_I(5, 2, 4, 56, 1, 1 / 16), _I(5, 1, 3, 56, 4, 1 / 12)),
    (_I(5, 2, 5, 104, 1), _I(3, 1, 3, 104, 4)),
    (_I(3, 1, 5, 160, 1, 1 / 20), _I(5, 1, 3, 160, 8, 1 / 12)),
    (_I(3, 2, 6, 264, 1, 1 / 24), _I(5, 1, 5, 264, 6, 1 / 20), _I(5, 1, 6, 288, 2, 1 / 24)),
    (_P(1, 1, 1, 1728, 1),),
)
_EDGE = (
    (_P(1, 1, 1, 16, 1),),
    (_F(3, 2, 8, 32, 1), _F(3, 1, 4, 32, 3)),
    (_F(3, 2, 8, 48, 1), _F(3, 1, 4, 48, 3)),
    (_I(3, 2, 8, 96, 1), _I(3, 1, 4, 96, 3)),
    (_I(3, 1, 8, 96, 1, shortcut=False), _I(3, 1, 4, 96, 3)),
    (_I(5, 2, 8, 160, 1), _I(5, 1, 4, 160, 3)),
    (_I(3, 1, 8, 192, 1),),
)


def _edge_v2(group_size: int, *widths: int) -> Stages:
    """Return MobileNet-EdgeTPU V2's stages of these widths."""
    grouped = partial(_F, group_size=group_size)
    a, b, c, d, e, f, g = widths
    return (
        (_P(1, 1, 1, a, 1),),
        (_F(3, 2, 8, b, 1), grouped(3, 1, 4, b, 1)),
        (_F(3, 2, 8, c, 1), grouped(3, 1, 4, c, 1), _F(3, 1, 4, c, 1), grouped(3, 1, 4, c, 1)),
        (_F(3, 2, 8, d, 1), _I(3, 1, 4, d, 3)),
        (_I(3, 1, 8, e, 1), _I(3, 1, 4, e, 3)),
        (_I(3, 2, 8, f, 1), _I(3, 1, 4, f, 3)),
        (_I(3, 1, 8, g, 1),),
    )


def _v2(width: float) -> dict[str, Any]:
    return {
        "stages": scaled(_V2, width),
        "stem_width": round_width(32 * width),
        "head_width": max(1280, round_width(1280 * width)),
        "act": relu6,
    }


def _v2_deep(width: float, depth: float) -> dict[str, Any]:
    return {"stages": scaled(_V2, width, depth, ends=False), "act": relu6}


def _mnas(stages: Stages, width: float) -> dict[str, Any]:
    return {"stages": scaled(stages, width), "stem_width": round_width(32 * width)}


def _v3(stages: Stages, width: float = 1.0, depth: float = 1.0, **fields: Any) -> dict[str, Any]:
    return {
        "stages": scaled(stages, width, depth),
        "stem_width": 16 if width < 0.75 else round_width(16 * width),
        "act": hard_swish,
        "squeeze": V3_SQUEEZE,
        **V3_HEAD,
        **fields,
    }


def _v3_small(width: float = 1.0, **fields: Any) -> dict[str, Any]:
    return _v3(_V3_SMALL, width, head_width=1024, **fields)


def _lc(width: float) -> dict[str, Any]:
    squeeze = Squeeze(round, relu, hard_sigmoid)
    return _v3(_LC, width, stem_width=round_width(16 * width), squeeze=squeeze)


def _fbnet_v3(stages: Stages, stem: int) -> dict[str, Any]:
    squeeze = Squeeze(partial(round_width, limit=0.95), None, hard_sigmoid)
    return _v3(stages, stem_width=stem, head_width=1984, head_bias=False, squeeze=squeeze)


_RW: dict[str, Any] = {
    "epsilon": 1e-3,
    "head_bias": False,
    "squeeze": Squeeze(round, None, hard_sigmoid),
}
_XS = {"stages": _edge_v2(64, 16, 32, 48, 96, 144, 160, 192)}
_V2_S, _V2_M, _V2_L = (
    {"stages": _edge_v2(64, 24, 48, 64, 128, 160, 192, 256), "stem_width": 64, "stem_size": 5},
    {"stages": _edge_v2(64, 32, 64, 80, 160, 192, 240, 320), "stem_width": 64, "stem_size": 5},
    {"stages": _edge_v2(128, 32, 64, 96, 192, 240, 256, 384), "stem_width": 64, "stem_size": 7},
)

# fmt: off
NETWORKS = networks({
    # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
    "mobilenetv2_035": (_v2(0.35), 224, 1_677_128, 14_080, 0.05929, None, None),
    "mobilenetv2_050": (_v2(0.5), 224, 1_968_680, 18_544, 0.09713, 65.928, "lamb_in1k"),
    "mobilenetv2_075": (_v2(0.75), 224, 2_636_424, 26_640, 0.2091, None, None),
    "mobilenetv2_100": (_v2(1.0), 224, 3_504_872, 34_112, 0.3008, 72.91, "ra_in1k"),
    "mobilenetv2_140": (_v2(1.4), 224, 6_108_776, 47_936, 0.5822, 76.528, "ra_in1k"),
    "mobilenetv2_110d": (_v2_deep(1.1, 1.2), 224, 4_516_520, 47_488, 0.4305, 75.056, "ra_in1k"),
    "mobilenetv2_120d": (_v2_deep(1.2, 1.4), 224, 5_831_144, 63_776, 0.6689, 77.3, "ra_in1k"),
    "mnasnet_050": (_mnas(_MNAS_B1, 0.5), 224, 2_218_512, 20_624, 0.1045, None, None),
    "mnasnet_075": (_mnas(_MNAS_B1, 0.75), 224, 3_170_208, 29_808, 0.2155, None, None),
    "mnasnet_100": (_mnas(_MNAS_B1, 1.0), 224, 4_383_312, 37_920, 0.3144, 74.672, "rmsp_in1k"),
    "mnasnet_140": (_mnas(_MNAS_B1, 1.4), 224, 7_115_728, 52_448, 0.5888, None, None),
    "semnasnet_050": (_mnas(_MNAS_A1, 0.5), 224, 2_082_006, 18_400, 0.1032, None, None),
    "semnasnet_075": (_mnas(_MNAS_A1, 0.75), 224, 2_912_278, 26_832, 0.2234, 73.0, "rmsp_in1k"),
    "semnasnet_100": (_mnas(_MNAS_A1, 1.0), 224, 3_887_038, 33_488, 0.3116, 75.452, "rmsp_in1k"),
    "semnasnet_140": (_mnas(_MNAS_A1, 1.4), 224, 6_105_992, 46_016, 0.5863, None, None),
    "mnasnet_small": ({"stages": _MNAS_SMALL, "stem_width": 8}, 224, 2_030_264, 16_928, 0.06834, 66.204, "lamb_in1k"),
    "spnasnet_100": ({"stages": _SPNAS}, 224, 4_421_616, 39_504, 0.3335, 74.086, "rmsp_in1k"),
    "fbnetc_100": ({"stages": _FBNET_C, "stem_width": 16, "head_width": 1984, "epsilon": 1e-3}, 224, 5_572_200, 44_368, 0.385, 75.12, "rmsp_in1k"),
    "mobilenetv3_large_075": (_v3(_V3_LARGE, 0.75), 224, 3_993_528, 19_088, 0.1546, None, None),
    "mobilenetv3_large_100": (_v3(_V3_LARGE), 224, 5_483_032, 24_400, 0.2166, 77.92, "miil_in21k_ft_in1k"),
    "mobilenetv3_large_150d": (_v3(_V3_LARGE, 1.5, 1.2), 256, 14_622_320, 53_472, 1.01, 81.832, "ra4_e3600_r256_in1k"),
    "mobilenetv3_small_050": (_v3_small(0.5), 224, 1_593_224, 6_496, 0.02419, 57.918, "lamb_in1k"),
    "mobilenetv3_small_075": (_v3_small(0.75), 224, 2_041_872, 9_680, 0.0434, 65.284, "lamb_in1k"),
    "mobilenetv3_small_100": (_v3_small(), 224, 2_542_856, 12_112, 0.05651, 67.636, "lamb_in1k"),
    "mobilenetv3_rw": (_v3(_V3_RW, **_RW), 224, 5_479_918, 24_400, 0.2166, 75.616, "rmsp_in1k"),
    "tf_mobilenetv3_large_075": (_v3(_V3_LARGE, 0.75, **TENSORFLOW), 224, 3_993_528, 19_088, 0.1546, 73.442, "in1k"),
    "tf_mobilenetv3_large_100": (_v3(_V3_LARGE, **TENSORFLOW), 224, 5_483_032, 24_400, 0.2166, 75.51, "in1k"),
    "tf_mobilenetv3_large_minimal_100": (_v3(_V3_LARGE_MINIMAL, act=relu, **TENSORFLOW), 224, 3_924_288, 24_400, 0.2091, 72.27, "in1k"),
    "tf_mobilenetv3_small_075": (_v3_small(0.75, **TENSORFLOW), 224, 2_041_872, 9_680, 0.0434, 65.706, "in1k"),
    "tf_mobilenetv3_small_100": (_v3_small(**TENSORFLOW), 224, 2_542_856, 12_112, 0.05651, 67.922, "in1k"),
    "tf_mobilenetv3_small_minimal_100": (_v3(_V3_SMALL_MINIMAL, act=relu, head_width=1024, **TENSORFLOW), 224, 2_044_736, 12_112, 0.05229, 62.892, "in1k"),
    "lcnet_035": (_lc(0.35), 224, 1_644_370, 3_840, 0.02736, None, None),
    "lcnet_050": (_lc(0.5), 224, 1_880_856, 5_472, 0.04473, 63.138, "ra2_in1k"),
    "lcnet_075": (_lc(0.75), 224, 2_358_288, 8_224, 0.09479, 68.786, "ra2_in1k"),
    "lcnet_100": (_lc(1.0), 224, 2_953_800, 10_944, 0.1557, 72.13, "ra2_in1k"),
    "lcnet_150": (_lc(1.5), 224, 4_501_112, 16_416, 0.3342, None, None),
    "fbnetv3_b": (_fbnet_v3(_FBNET_V3_B, 16), 224, 8_598_464, 46_400, 0.4075, 79.154, "ra2_in1k"),
    "fbnetv3_d": (_fbnet_v3(_FBNET_V3_D, 24), 224, 10_306_272, 56_608, 0.502, 79.682, "ra2_in1k"),
    "fbnetv3_g": (_fbnet_v3(_FBNET_V3_G, 32), 240, 16_623_888, 90_864, 1.254, 82.034, "ra2_in1k"),
    "mobilenet_edgetpu_100": ({"stages": _EDGE}, 224, 4_091_432, 38_880, 0.9907, None, None),
    "mobilenet_edgetpu_v2_xs": (_XS, 224, 4_459_880, 41_696, 0.6882, None, None),
    "mobilenet_edgetpu_v2_s": (_V2_S, 224, 5_986_456, 50_288, 1.198, None, None),
    "mobilenet_edgetpu_v2_m": (_V2_M | {"head_width": 1344}, 224, 8_462_888, 61_760, 1.836, 80.684, "ra4_e3600_r224_in1k"),
    "mobilenet_edgetpu_v2_l": (_V2_L | {"head_width": 1408}, 224, 10_921_640, 71_232, 2.531, None, None),
})
# fmt: on
