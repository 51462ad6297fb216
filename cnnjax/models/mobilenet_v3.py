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
    InvertedResidualNet,
    LinearEnd,
    PooledEnd,
    Stem,
    scaled,
)
from cnnjax.models.network import Network
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
    "mobilenet_v3_large": Network(InvertedResidualNet, _torchvision(_V3_LARGE, 1280)),
    "mobilenet_v3_small": Network(InvertedResidualNet, _torchvision(_V3_SMALL, 1024)),
    "mobilenetv3_large_075": Network(InvertedResidualNet, _v3(_V3_LARGE, 0.75)),
    "mobilenetv3_large_100": Network(InvertedResidualNet, _v3(_V3_LARGE)),
    "mobilenetv3_large_150d": Network(InvertedResidualNet, _v3(_V3_LARGE, 1.5, 1.2)),
    "mobilenetv3_small_050": Network(InvertedResidualNet, _v3_small(0.5)),
    "mobilenetv3_small_075": Network(InvertedResidualNet, _v3_small(0.75)),
    "mobilenetv3_small_100": Network(InvertedResidualNet, _v3_small()),
    "mobilenetv3_rw": Network(InvertedResidualNet, _v3(_V3_RW, **_RW)),
    "tf_mobilenetv3_large_075": Network(InvertedResidualNet, _v3(_V3_LARGE, 0.75, **TENSORFLOW)),
    "tf_mobilenetv3_large_100": Network(InvertedResidualNet, _v3(_V3_LARGE, **TENSORFLOW)),
    "tf_mobilenetv3_large_minimal_100": Network(InvertedResidualNet, _v3(_V3_LARGE_MINIMAL, act=relu, **TENSORFLOW)),
    "tf_mobilenetv3_small_075": Network(InvertedResidualNet, _v3_small(0.75, **TENSORFLOW)),
    "tf_mobilenetv3_small_100": Network(InvertedResidualNet, _v3_small(**TENSORFLOW)),
    "tf_mobilenetv3_small_minimal_100": Network(InvertedResidualNet, _v3_small(stages=_V3_SMALL_MINIMAL, act=relu, **TENSORFLOW)),
    "lcnet_035": Network(InvertedResidualNet, _lc(0.35)),
    "lcnet_050": Network(InvertedResidualNet, _lc(0.5)),
    "lcnet_075": Network(InvertedResidualNet, _lc(0.75)),
    "lcnet_100": Network(InvertedResidualNet, _lc(1.0)),
    "lcnet_150": Network(InvertedResidualNet, _lc(1.5)),
    "fbnetv3_b": Network(InvertedResidualNet, _fbnet_v3(_FBNET_V3_B, 16)),
    "fbnetv3_d": Network(InvertedResidualNet, _fbnet_v3(_FBNET_V3_D, 24)),
    "fbnetv3_g": Network(InvertedResidualNet, _fbnet_v3(_FBNET_V3_G, 32)),
}
# fmt: on
