"""MnasNet and two more networks of inverted residuals that a search found for phones.

MnasNet (Tan et al. 2019, arXiv:1807.11626), with squeeze-excite ("se": its variant A1) and without
(B1), as torchvision.models.mnasnet and timm.models.efficientnet define it; Single-Path NAS
(arXiv:1904.02877) and FBNet (arXiv:1812.03443), as timm does. Names of variables are timm's;
`cnnjax.weights.names` has torchvision's.
"""

from functools import partial
from typing import Any

from flax import linen as nn

from cnnjax.models.inverted_residual import InvertedResidual, Row, Separable, Stages, Style
from cnnjax.models.inverted_residual_net import End, InvertedResidualNet, described, scaled, single
from cnnjax.models.network import Network
from cnnjax.models.widths import round_width
from cnnjax.nn import ungrouped

__all__ = ["NETWORKS"]

_D, _I = partial(Row, Separable), partial(Row, InvertedResidual)

# Blocks are (kernel size, strides, expansion, width, blocks, squeeze-excite), the last as a fraction
# of the inner width.
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


def _mnas(stages: Stages, width: float, **fields: Any) -> dict[str, Any]:
    return described(scaled(stages, width), stem=round_width(32 * width), **fields)


def _torchvision(width: float) -> dict[str, Any]:
    # With the paper's momentum the statistics need thousands of steps to be of use.
    return _mnas(
        _MNAS_B1,
        width,
        end=End(linear_init=nn.initializers.variance_scaling(1.0, "fan_out", "uniform")),
        style=Style(kernel_init=ungrouped),
        momentum=0.9997,
        dropout_rate=0.2,
    )


_SMALL = described(_MNAS_SMALL, stem=8)
_FBNET = described(_FBNET_C, stem=16, head=1984, epsilon=1e-3)

NETWORKS = {
    "mnasnet0_5": Network(InvertedResidualNet, _torchvision(0.5)),
    "mnasnet0_75": Network(InvertedResidualNet, _torchvision(0.75)),
    "mnasnet1_0": Network(InvertedResidualNet, _torchvision(1.0)),
    "mnasnet1_3": Network(InvertedResidualNet, _torchvision(1.3)),
    "mnasnet_050": Network(InvertedResidualNet, _mnas(_MNAS_B1, 0.5)),
    "mnasnet_075": Network(InvertedResidualNet, _mnas(_MNAS_B1, 0.75)),
    "mnasnet_100": Network(InvertedResidualNet, _mnas(_MNAS_B1, 1.0)),
    "mnasnet_140": Network(InvertedResidualNet, _mnas(_MNAS_B1, 1.4)),
    "semnasnet_050": Network(InvertedResidualNet, _mnas(_MNAS_A1, 0.5)),
    "semnasnet_075": Network(InvertedResidualNet, _mnas(_MNAS_A1, 0.75)),
    "semnasnet_100": Network(InvertedResidualNet, _mnas(_MNAS_A1, 1.0)),
    "semnasnet_140": Network(InvertedResidualNet, _mnas(_MNAS_A1, 1.4)),
    "mnasnet_small": Network(InvertedResidualNet, _SMALL),
    "spnasnet_100": Network(InvertedResidualNet, described(_SPNAS)),
    "fbnetc_100": Network(InvertedResidualNet, _FBNET),
}
