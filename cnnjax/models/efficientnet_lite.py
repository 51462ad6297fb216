"""EfficientNet-Lite: EfficientNet without squeeze-excite, with ReLU6, for devices that quantise.

Tan and Le 2019 (arXiv:1905.11946); the lite variants are in tensorflow/tpu
(models/official/efficientnet/lite). As timm.models.efficientnet defines them: the stem, the last
layer and the depths of the first and last stages are not scaled.
"""

from dataclasses import replace
from typing import Any

from cnnjax.models.efficientnet import STAGES
from cnnjax.models.inverted_residual_net import TENSORFLOW, InvertedResidualNet, described, scaled
from cnnjax.models.network import Network
from cnnjax.nn import relu6

__all__ = ["NETWORKS"]

_STAGES = tuple(tuple(replace(row, squeeze=0.0) for row in stage) for stage in STAGES)


def _lite(width: float, depth: float) -> dict[str, Any]:
    return described(scaled(_STAGES, width, depth, ends=False), act=relu6)


_0, _1, _2 = _lite(1.0, 1.0), _lite(1.0, 1.1), _lite(1.1, 1.2)
_3, _4 = _lite(1.2, 1.4), _lite(1.4, 1.8)

NETWORKS = {
    "efficientnet_lite0": Network(InvertedResidualNet, _0),
    "efficientnet_lite1": Network(InvertedResidualNet, _1),
    "efficientnet_lite2": Network(InvertedResidualNet, _2),
    "efficientnet_lite3": Network(InvertedResidualNet, _3),
    "efficientnet_lite4": Network(InvertedResidualNet, _4),
    "tf_efficientnet_lite0": Network(InvertedResidualNet, _0 | TENSORFLOW),
    "tf_efficientnet_lite1": Network(InvertedResidualNet, _1 | TENSORFLOW),
    "tf_efficientnet_lite2": Network(InvertedResidualNet, _2 | TENSORFLOW),
    "tf_efficientnet_lite3": Network(InvertedResidualNet, _3 | TENSORFLOW),
    "tf_efficientnet_lite4": Network(InvertedResidualNet, _4 | TENSORFLOW),
}
