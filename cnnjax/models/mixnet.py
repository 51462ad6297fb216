"""MixNet: depthwise convolutions of several kernel sizes side by side.

Tan and Le 2019 (arXiv:1907.09595), as timm.models.efficientnet defines it.
"""

from functools import partial
from typing import Any

from cnnjax.models.inverted_residual import InvertedResidual, Row, Separable
from cnnjax.models.inverted_residual_net import TENSORFLOW, InvertedResidualNet, described, scaled
from cnnjax.models.network import Network
from cnnjax.models.widths import round_width
from cnnjax.nn import silu

__all__ = ["NETWORKS"]

# Of the 1x1 convolutions of a block none, the second or both are in two parts.
_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)
_IP = partial(_I, project_size=(1, 1))
_IEP = partial(_IP, expand_size=(1, 1))
_S, _SP, _SEP = partial(_I, act=silu), partial(_IP, act=silu), partial(_IEP, act=silu)

# Blocks are (kernel sizes, strides, expansion, width, blocks, squeeze-excite), the last as a
# fraction of the inner width.
_SMALL = (
    (_D(3, 1, 1, 16, 1),),
    (_IEP(3, 2, 6, 24, 1), _IEP(3, 1, 3, 24, 1)),
    (_S((3, 5, 7), 2, 6, 40, 1, 1 / 12), _SEP((3, 5), 1, 6, 40, 3, 1 / 12)),
    (_SP((3, 5, 7), 2, 6, 80, 1, 1 / 24), _SP((3, 5), 1, 6, 80, 2, 1 / 24)),
    (_SEP((3, 5, 7), 1, 6, 120, 1, 1 / 12), _SEP((3, 5, 7, 9), 1, 3, 120, 2, 1 / 6)),
    (_S((3, 5, 7, 9, 11), 2, 6, 200, 1, 1 / 12), _SP((3, 5, 7, 9), 1, 6, 200, 2, 1 / 12)),
)
_MEDIUM = (
    (_D(3, 1, 1, 24, 1),),
    (_IEP((3, 5, 7), 2, 6, 32, 1), _IEP(3, 1, 3, 32, 1)),
    (_S((3, 5, 7, 9), 2, 6, 40, 1, 1 / 12), _SEP((3, 5), 1, 6, 40, 3, 1 / 12)),
    (_S((3, 5, 7), 2, 6, 80, 1, 1 / 24), _SEP((3, 5, 7, 9), 1, 6, 80, 3, 1 / 24)),
    (_S(3, 1, 6, 120, 1, 1 / 12), _SEP((3, 5, 7, 9), 1, 3, 120, 3, 1 / 6)),
    (_S((3, 5, 7, 9), 2, 6, 200, 1, 1 / 12), _SP((3, 5, 7, 9), 1, 6, 200, 3, 1 / 12)),
)
_SMALL_NET = described(_SMALL, stem=16, head=1536)


def _medium(width: float = 1.0, depth: float = 1.0, **fields: Any) -> dict[str, Any]:
    stages, stem = scaled(_MEDIUM, width, depth, whole=round), round_width(24 * width)
    return described(stages, stem=stem, head=1536, **fields)


NETWORKS = {
    "mixnet_s": Network(InvertedResidualNet, _SMALL_NET),
    "mixnet_m": Network(InvertedResidualNet, _medium()),
    "mixnet_l": Network(InvertedResidualNet, _medium(1.3)),
    "mixnet_xl": Network(InvertedResidualNet, _medium(1.6, 1.2)),
    "mixnet_xxl": Network(InvertedResidualNet, _medium(2.4, 1.3)),
    "tf_mixnet_s": Network(InvertedResidualNet, _SMALL_NET | TENSORFLOW),
    "tf_mixnet_m": Network(InvertedResidualNet, _medium(**TENSORFLOW)),
    "tf_mixnet_l": Network(InvertedResidualNet, _medium(1.3, **TENSORFLOW)),
}
