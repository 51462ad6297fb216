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
    InvertedResidualNet,
    Stem,
    described,
    scaled,
    single,
)
from cnnjax.models.network import Network
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

NETWORKS = {
    "efficientnet_b0": Network(InvertedResidualNet, _tv_b(1.0, 1.0, 0.2)),
    "efficientnet_b1": Network(InvertedResidualNet, _tv_b(1.0, 1.1, 0.2)),
    "efficientnet_b2": Network(InvertedResidualNet, _tv_b(1.1, 1.2, 0.3)),
    "efficientnet_b3": Network(InvertedResidualNet, _tv_b(1.2, 1.4, 0.3)),
    "efficientnet_b4": Network(InvertedResidualNet, _tv_b(1.4, 1.8, 0.4)),
    "efficientnet_b5": Network(InvertedResidualNet, _tv_b(1.6, 2.2, 0.4, **_STATISTICS)),
    "efficientnet_b6": Network(InvertedResidualNet, _tv_b(1.8, 2.6, 0.5, **_STATISTICS)),
    "efficientnet_b7": Network(InvertedResidualNet, _tv_b(2.0, 3.1, 0.5, **_STATISTICS)),
    "efficientnet_v2_s": Network(InvertedResidualNet, _tv_v2(_S, 0.2)),
    "efficientnet_v2_m": Network(InvertedResidualNet, _tv_v2(_M, 0.3)),
    "efficientnet_v2_l": Network(InvertedResidualNet, _tv_v2(_L, 0.4)),
    "efficientnet_b0_cifar": Network(InvertedResidualNet, _CIFAR),
    "efficientnet_b8": Network(InvertedResidualNet, _b(2.2, 3.6)),
    "efficientnet_l2": Network(InvertedResidualNet, _b(4.3, 5.3)),
    "tf_efficientnet_b0": Network(InvertedResidualNet, _b(1.0, 1.0, **TENSORFLOW)),
    "tf_efficientnet_b1": Network(InvertedResidualNet, _b(1.0, 1.1, **TENSORFLOW)),
    "tf_efficientnet_b2": Network(InvertedResidualNet, _b(1.1, 1.2, **TENSORFLOW)),
    "tf_efficientnet_b3": Network(InvertedResidualNet, _b(1.2, 1.4, **TENSORFLOW)),
    "tf_efficientnet_b4": Network(InvertedResidualNet, _b(1.4, 1.8, **TENSORFLOW)),
    "tf_efficientnet_b5": Network(InvertedResidualNet, _b(1.6, 2.2, **TENSORFLOW)),
    "tf_efficientnet_b6": Network(InvertedResidualNet, _b(1.8, 2.6, **TENSORFLOW)),
    "tf_efficientnet_b7": Network(InvertedResidualNet, _b(2.0, 3.1, **TENSORFLOW)),
    "tf_efficientnet_b8": Network(InvertedResidualNet, _b(2.2, 3.6, **TENSORFLOW)),
    "tf_efficientnet_l2": Network(InvertedResidualNet, _b(4.3, 5.3, **TENSORFLOW)),
    "efficientnet_es": Network(InvertedResidualNet, _edge(1.0, 1.0)),
    "efficientnet_em": Network(InvertedResidualNet, _edge(1.0, 1.1)),
    "efficientnet_el": Network(InvertedResidualNet, _edge(1.2, 1.4)),
    "tf_efficientnet_es": Network(InvertedResidualNet, _edge(1.0, 1.0, **TENSORFLOW)),
    "tf_efficientnet_em": Network(InvertedResidualNet, _edge(1.0, 1.1, **TENSORFLOW)),
    "tf_efficientnet_el": Network(InvertedResidualNet, _edge(1.2, 1.4, **TENSORFLOW)),
    "efficientnetv2_s": Network(InvertedResidualNet, _S),
    "efficientnetv2_m": Network(InvertedResidualNet, _M),
    "efficientnetv2_l": Network(InvertedResidualNet, _L),
    "efficientnetv2_xl": Network(InvertedResidualNet, _XL),
    "tf_efficientnetv2_b0": Network(InvertedResidualNet, _v2_b(1.0, 1.0)),
    "tf_efficientnetv2_b1": Network(InvertedResidualNet, _v2_b(1.0, 1.1)),
    "tf_efficientnetv2_b2": Network(InvertedResidualNet, _v2_b(1.1, 1.2)),
    "tf_efficientnetv2_b3": Network(InvertedResidualNet, _v2_b(1.2, 1.4)),
    "tf_efficientnetv2_s": Network(InvertedResidualNet, _S | TENSORFLOW),
    "tf_efficientnetv2_m": Network(InvertedResidualNet, _M | TENSORFLOW),
    "tf_efficientnetv2_l": Network(InvertedResidualNet, _L | TENSORFLOW),
    "tf_efficientnetv2_xl": Network(InvertedResidualNet, _XL | TENSORFLOW),
    "efficientnetv2_rw_t": Network(InvertedResidualNet, _rw(_V2_S, 1280, 0.8, 0.9)),
    "efficientnetv2_rw_s": Network(InvertedResidualNet, _rw(_V2_RW, 1792, 1.0, 1.0)),
    "efficientnetv2_rw_m": Network(InvertedResidualNet, _rw(_V2_RW_M, 1792, 1.2, 1.0)),
    "tinynet_a": Network(InvertedResidualNet, _tiny(1.0, 1.2)),
    "tinynet_b": Network(InvertedResidualNet, _tiny(0.75, 1.1)),
    "tinynet_c": Network(InvertedResidualNet, _tiny(0.54, 0.85)),
    "tinynet_d": Network(InvertedResidualNet, _tiny(0.54, 0.695)),
    "tinynet_e": Network(InvertedResidualNet, _tiny(0.51, 0.6)),
}
