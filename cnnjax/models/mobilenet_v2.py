"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler et al. 2018 (arXiv:1801.04381), as torchvision.models.mobilenetv2 and timm.models.efficientnet
define it, which differ in how kernels begin. Names of variables are timm's; `cnnjax.weights.names` has torchvision's.
"""

from functools import partial
from typing import Any

from flax import linen as nn

from cnnjax.models.inverted_residual import InvertedResidual, Row, Separable, Style
from cnnjax.models.inverted_residual_net import (
    End,
    InvertedResidualNet,
    Stem,
    described,
    scaled,
    single,
)
from cnnjax.models.network import Network
from cnnjax.models.widths import round_width
from cnnjax.nn import relu6, ungrouped

__all__ = ["NETWORKS"]

_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)

# Table 2 of the paper: kernel size, strides, expansion, width, blocks.
_STAGES = single(
    _D(3, 1, 1, 16, 1),
    _I(3, 2, 6, 24, 2),
    _I(3, 2, 6, 32, 3),
    _I(3, 2, 6, 64, 4),
    _I(3, 1, 6, 96, 3),
    _I(3, 2, 6, 160, 3),
    _I(3, 1, 6, 320, 1),
)


def _scaled(width: float) -> dict[str, Any]:
    stem, head = round_width(32 * width), max(1280, round_width(1280 * width))
    return described(scaled(_STAGES, width), stem=stem, head=head, act=relu6)


def _deep(width: float, depth: float) -> dict[str, Any]:
    return described(scaled(_STAGES, width, depth, ends=False), act=relu6)


_TORCHVISION: dict[str, Any] = {
    "stages": _STAGES,
    "end": End(linear_init=nn.initializers.normal(0.01)),
    "style": Style(relu6, kernel_init=ungrouped),
    "dropout_rate": 0.2,
}
# The stem and the first stride of the usual adaptation to CIFAR: 4x4 positions are left of 32.
_CIFAR = _TORCHVISION | {"num_classes": 10, "stem": Stem(strides=(1, 1))}

NETWORKS = {
    "mobilenet_v2": Network(InvertedResidualNet, _TORCHVISION),
    "mobilenet_v2_cifar": Network(InvertedResidualNet, _CIFAR),
    "mobilenetv2_035": Network(InvertedResidualNet, _scaled(0.35)),
    "mobilenetv2_050": Network(InvertedResidualNet, _scaled(0.5)),
    "mobilenetv2_075": Network(InvertedResidualNet, _scaled(0.75)),
    "mobilenetv2_100": Network(InvertedResidualNet, _scaled(1.0)),
    "mobilenetv2_140": Network(InvertedResidualNet, _scaled(1.4)),
    "mobilenetv2_110d": Network(InvertedResidualNet, _deep(1.1, 1.2)),
    "mobilenetv2_120d": Network(InvertedResidualNet, _deep(1.2, 1.4)),
}
