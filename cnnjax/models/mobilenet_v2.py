"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler et al. 2018 (arXiv:1801.04381), as torchvision.models.mobilenetv2 and timm.models.efficientnet
define it, which differ in how kernels begin. Names of variables are timm's; `cnnjax.weights.names` has torchvision's.
"""

from functools import partial
from typing import Any

from flax import linen as nn

from cnnjax.models.inverted_residual import InvertedResidual, Row, Separable, Style
from cnnjax.models.inverted_residual_net import End, Stem, described, networks, scaled, single
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
_PAPER = {"reference": "arXiv:1801.04381", "dataset": "CIFAR-10"}

# fmt: off
NETWORKS = {
    **networks({
        # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
        "mobilenet_v2": (_TORCHVISION, 224, 3_504_872, 34_112, 0.3008, 72.154, "IMAGENET1K_V2"),
    }, reference="torchvision"),
    **networks({
        "mobilenet_v2_cifar": (_CIFAR, 32, 2_236_682, 34_112, 0.08798, None, None),
    }, **_PAPER),
    **networks({
        "mobilenetv2_035": (_scaled(0.35), 224, 1_677_128, 14_080, 0.05929, None, None),
        "mobilenetv2_050": (_scaled(0.5), 224, 1_968_680, 18_544, 0.09713, 65.928, "lamb_in1k"),
        "mobilenetv2_075": (_scaled(0.75), 224, 2_636_424, 26_640, 0.2091, None, None),
        "mobilenetv2_100": (_scaled(1.0), 224, 3_504_872, 34_112, 0.3008, 72.91, "ra_in1k"),
        "mobilenetv2_140": (_scaled(1.4), 224, 6_108_776, 47_936, 0.5822, 76.528, "ra_in1k"),
        "mobilenetv2_110d": (_deep(1.1, 1.2), 224, 4_516_520, 47_488, 0.4305, 75.056, "ra_in1k"),
        "mobilenetv2_120d": (_deep(1.2, 1.4), 224, 5_831_144, 63_776, 0.6689, 77.3, "ra_in1k"),
    }),
}
# fmt: on
