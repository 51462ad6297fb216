"""MobileNet-EdgeTPU and its V2: inverted residuals, many of them fused, for an accelerator.

The networks of arXiv:2204.14007 as timm.models.efficientnet defines them.
"""

from functools import partial

from cnnjax.models.inverted_residual import FusedResidual, InvertedResidual, PlainLayer, Row, Stages
from cnnjax.models.inverted_residual_net import End, InvertedResidualNet, Stem
from cnnjax.models.network import Network

__all__ = ["NETWORKS"]

_I, _F = partial(Row, InvertedResidual), partial(Row, FusedResidual)
_P = partial(Row, PlainLayer, shortcut=False)

# Blocks are (kernel size, strides, expansion, width, blocks).
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


_XS = {"stages": _edge_v2(64, 16, 32, 48, 96, 144, 160, 192)}
_S = {"stages": _edge_v2(64, 24, 48, 64, 128, 160, 192, 256), "stem": Stem(64, 5)}
_M = {"stages": _edge_v2(64, 32, 64, 80, 160, 192, 240, 320), "stem": Stem(64, 5), "end": End(1344)}
_L = {
    "stages": _edge_v2(128, 32, 64, 96, 192, 240, 256, 384),
    "stem": Stem(64, 7),
    "end": End(1408),
}

NETWORKS = {
    "mobilenet_edgetpu_100": Network(InvertedResidualNet, {"stages": _EDGE}),
    "mobilenet_edgetpu_v2_xs": Network(InvertedResidualNet, _XS),
    "mobilenet_edgetpu_v2_s": Network(InvertedResidualNet, _S),
    "mobilenet_edgetpu_v2_m": Network(InvertedResidualNet, _M),
    "mobilenet_edgetpu_v2_l": Network(InvertedResidualNet, _L),
}
