"""EfficientNet-Lite: EfficientNet without squeeze-excite, with ReLU6, for devices that quantise.

Tan and Le 2019 (arXiv:1905.11946); the lite variants are in tensorflow/tpu
(models/official/efficientnet/lite). As timm.models.efficientnet defines them: the stem, the last
layer and the depths of the first and last stages are not scaled.
"""

from dataclasses import replace
from typing import Any

from cnnjax.models.efficientnet import STAGES
from cnnjax.models.inverted_residual_net import TENSORFLOW, described, networks, scaled
from cnnjax.nn import relu6

__all__ = ["NETWORKS"]

_STAGES = tuple(tuple(replace(row, squeeze=0.0) for row in stage) for stage in STAGES)


def _lite(width: float, depth: float) -> dict[str, Any]:
    return described(scaled(_STAGES, width, depth, ends=False), act=relu6)


_0, _1, _2 = _lite(1.0, 1.0), _lite(1.0, 1.1), _lite(1.1, 1.2)
_3, _4 = _lite(1.2, 1.4), _lite(1.4, 1.8)

# fmt: off
NETWORKS = networks({
    # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
    "efficientnet_lite0": (_0, 224, 4_652_008, 42_016, 0.3852, 75.488, "ra_in1k"),
    "efficientnet_lite1": (_1, 240, 5_416_680, 53_664, 0.6002, None, None),
    "efficientnet_lite2": (_2, 260, 6_092_072, 58_096, 0.8597, None, None),
    "efficientnet_lite3": (_3, 300, 8_197_096, 76_672, 1.608, None, None),
    "efficientnet_lite4": (_4, 380, 13_006_568, 112_368, 3.944, None, None),
    "tf_efficientnet_lite0": (_0 | TENSORFLOW, 224, 4_652_008, 42_016, 0.3852, 74.846, "in1k"),
    "tf_efficientnet_lite1": (_1 | TENSORFLOW, 240, 5_416_680, 53_664, 0.6002, 76.674, "in1k"),
    "tf_efficientnet_lite2": (_2 | TENSORFLOW, 260, 6_092_072, 58_096, 0.8597, 77.47, "in1k"),
    "tf_efficientnet_lite3": (_3 | TENSORFLOW, 300, 8_197_096, 76_672, 1.608, 79.808, "in1k"),
    "tf_efficientnet_lite4": (_4 | TENSORFLOW, 380, 13_006_568, 112_368, 3.944, 81.54, "in1k"),
})
# fmt: on
