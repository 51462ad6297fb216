"""MobileNetV3 and its kin: searched inverted residuals with squeeze-excite and hard-swish.

Howard et al. 2019 (arXiv:1905.02244), as torchvision.models.mobilenetv3 and timm.models.mobilenetv3
define it; LCNet (arXiv:2109.15099) and FBNetV3 (arXiv:2006.02049), as timm does. Names of variables
are timm's; `cnnjax.weights.names` has torchvision's.
"""

from functools import partial
from typing import Any

from cnnjax.models.inverted_residual import (
    InvertedResidual,
    PlainLayer,
    Row,
    Separable,
    Squeeze,
    Stages,
    Style,
)
from cnnjax.models.inverted_residual_net import (
    TENSORFLOW,
    V3_SQUEEZE,
    LinearEnd,
    PooledEnd,
    Stem,
    networks,
    scaled,
)
from cnnjax.models.widths import round_width
from cnnjax.nn import hard_sigmoid, hard_swish, relu, ungrouped
from cnnjax.typing import Activation

__all__ = ["NETWORKS"]

_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)
_P = partial(Row, PlainLayer, shortcut=False)
_DR, _IR = partial(_D, act=relu), partial(_I, act=relu)

# Blocks are (kernel size, strides, expansion, width, blocks, squeeze-excite), the last as a fraction
# of the inner width.
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


_END = PooledEnd()


def _v3(
    stages: Stages,
    width: float = 1.0,
    depth: float = 1.0,
    *,
    stem: int = 0,
    end: PooledEnd = _END,
    act: Activation = hard_swish,
    squeeze: Squeeze = V3_SQUEEZE,
    **fields: Any,
) -> dict[str, Any]:
    stem = stem or (16 if width < 0.75 else round_width(16 * width))
    return {
        "stages": scaled(stages, width, depth),
        "stem": Stem(stem),
        "end": end,
        "style": Style(act, squeeze),
        **fields,
    }


def _v3_small(width: float = 1.0, stages: Stages = _V3_SMALL, **fields: Any) -> dict[str, Any]:
    return _v3(stages, width, end=PooledEnd(1024), **fields)


def _lc(width: float) -> dict[str, Any]:
    squeeze = Squeeze(round, relu, hard_sigmoid)
    return _v3(_LC, width, stem=round_width(16 * width), squeeze=squeeze)


def _fbnet_v3(stages: Stages, stem: int) -> dict[str, Any]:
    squeeze = Squeeze(partial(round_width, limit=0.95), None, hard_sigmoid)
    return _v3(stages, stem=stem, end=PooledEnd(1984, use_bias=False), squeeze=squeeze)


def _torchvision(stages: Stages, last: int) -> dict[str, Any]:
    style = Style(hard_swish, V3_SQUEEZE, ungrouped)
    said = {"epsilon": 1e-3, "momentum": 0.99, "dropout_rate": 0.2}
    return {"stages": stages, "stem": Stem(16), "end": LinearEnd(last), "style": style, **said}


_RW: dict[str, Any] = {
    "epsilon": 1e-3,
    "end": PooledEnd(use_bias=False),
    "squeeze": Squeeze(round, None, hard_sigmoid),
}

# fmt: off
NETWORKS = {
    **networks({
        # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
        "mobilenet_v3_large": (_torchvision(_V3_LARGE, 1280), 224, 5_483_032, 24_400, 0.2166, 75.274, "IMAGENET1K_V2"),
        "mobilenet_v3_small": (_torchvision(_V3_SMALL, 1024), 224, 2_542_856, 12_112, 0.05651, 67.668, "IMAGENET1K_V1"),
    }, reference="torchvision"),
    **networks({
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
        "tf_mobilenetv3_small_minimal_100": (_v3_small(stages=_V3_SMALL_MINIMAL, act=relu, **TENSORFLOW), 224, 2_044_736, 12_112, 0.05229, 62.892, "in1k"),
        "lcnet_035": (_lc(0.35), 224, 1_644_370, 3_840, 0.02736, None, None),
        "lcnet_050": (_lc(0.5), 224, 1_880_856, 5_472, 0.04473, 63.138, "ra2_in1k"),
        "lcnet_075": (_lc(0.75), 224, 2_358_288, 8_224, 0.09479, 68.786, "ra2_in1k"),
        "lcnet_100": (_lc(1.0), 224, 2_953_800, 10_944, 0.1557, 72.13, "ra2_in1k"),
        "lcnet_150": (_lc(1.5), 224, 4_501_112, 16_416, 0.3342, None, None),
        "fbnetv3_b": (_fbnet_v3(_FBNET_V3_B, 16), 224, 8_598_464, 46_400, 0.4075, 79.154, "ra2_in1k"),
        "fbnetv3_d": (_fbnet_v3(_FBNET_V3_D, 24), 224, 10_306_272, 56_608, 0.502, 79.682, "ra2_in1k"),
        "fbnetv3_g": (_fbnet_v3(_FBNET_V3_G, 32), 240, 16_623_888, 90_864, 1.254, 82.034, "ra2_in1k"),
    }),
}
# fmt: on
