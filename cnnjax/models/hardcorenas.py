"""HardCoRe-NAS: searched under a hard limit of latency.

Nayman et al. 2021 (arXiv:2102.11646), as timm.models.hardcorenas defines it. The networks differ in
what the search was free to choose: the blocks' number, kernel sizes, expansions and squeeze-excite.
"""

from typing import Any

from cnnjax.models.inverted_residual import InvertedResidual, PlainLayer, Row, Separable, Stages
from cnnjax.models.inverted_residual_net import (
    V3_SQUEEZE,
    InvertedResidualNet,
    PooledEnd,
    described,
)
from cnnjax.models.network import Network
from cnnjax.nn import hard_swish, relu

__all__ = ["NETWORKS"]

# (strides, width, activation) of the stages in the middle, None for the network's
_FIXED = ((2, 24, relu), (2, 40, relu), (2, 80, None), (1, 112, None), (2, 192, None))
# Squeeze-excite, as a fraction of the inner width.
_SE = 1 / 4


def _stages(*searched: tuple[tuple[int, int, float], ...]) -> Stages:
    """Return stages of blocks with (kernel size, expansion, squeeze-excite)."""
    middle = tuple(
        tuple(
            Row(InvertedResidual, size, 1 if i else strides, expansion, width, 1, squeeze, act)
            for i, (size, expansion, squeeze) in enumerate(blocks)
        )
        for (strides, width, act), blocks in zip(_FIXED, searched, strict=True)
    )
    first, last = Row(Separable, 3, 1, 1, 16, act=relu), Row(PlainLayer, 1, 1, 1, 960)
    return ((first,), *middle, (last,))


_A = _stages(
    ((5, 3, 0), (5, 3, _SE)),
    ((5, 3, 0), (5, 6, _SE)),
    ((5, 6, _SE), (5, 6, _SE)),
    ((5, 6, _SE), (5, 6, _SE)),
    ((5, 6, _SE), (5, 6, _SE)),
)
_B = _stages(
    ((5, 3, 0), (5, 3, _SE), (3, 3, 0)),
    ((5, 3, 0), (5, 3, 0), (5, 3, 0)),
    ((5, 3, 0), (5, 3, 0), (3, 3, 0), (3, 3, 0)),
    ((5, 3, 0), (3, 3, 0), (3, 3, 0), (3, 3, 0)),
    ((5, 6, _SE), (5, 6, _SE), (3, 3, _SE)),
)
_C = _stages(
    ((5, 3, 0), (5, 3, _SE)),
    ((5, 3, 0), (5, 3, 0), (5, 3, 0), (5, 3, 0)),
    ((5, 4, 0), (5, 6, _SE), (3, 3, 0), (3, 3, 0)),
    ((5, 6, _SE), (3, 3, 0), (3, 3, 0), (3, 3, 0)),
    ((5, 6, _SE), (5, 6, _SE), (3, 3, _SE)),
)
_D = _stages(
    ((5, 3, _SE), (5, 3, _SE)),
    ((5, 3, _SE), (5, 4, _SE), (3, 3, _SE)),
    ((5, 4, _SE), (3, 3, _SE), (3, 3, _SE), (3, 3, _SE)),
    ((3, 4, _SE), (5, 4, _SE), (3, 3, _SE), (5, 3, _SE)),
    ((5, 6, _SE), (5, 6, _SE), (5, 6, _SE), (3, 6, _SE)),
)
_E = _stages(
    ((5, 3, _SE), (5, 3, _SE)),
    ((5, 6, _SE), (5, 4, _SE), (5, 4, _SE), (3, 3, _SE)),
    ((5, 4, _SE), (3, 6, _SE)),
    ((5, 6, _SE), (5, 6, _SE), (5, 6, _SE), (5, 3, _SE)),
    ((5, 6, _SE), (5, 6, _SE), (5, 6, _SE), (3, 6, _SE)),
)
_F = _stages(
    ((5, 3, _SE), (5, 3, _SE)),
    ((5, 6, _SE), (5, 6, _SE)),
    ((5, 6, _SE), (5, 6, _SE), (3, 3, _SE), (3, 3, _SE)),
    ((3, 6, _SE), (5, 6, _SE), (5, 6, _SE), (3, 3, _SE)),
    ((5, 6, _SE), (5, 6, _SE), (3, 6, _SE), (3, 6, _SE)),
)


def _fields(stages: Stages) -> dict[str, Any]:
    return described(stages, act=hard_swish, squeeze=V3_SQUEEZE, end=PooledEnd())


NETWORKS = {
    "hardcorenas_a": Network(InvertedResidualNet, _fields(_A)),
    "hardcorenas_b": Network(InvertedResidualNet, _fields(_B)),
    "hardcorenas_c": Network(InvertedResidualNet, _fields(_C)),
    "hardcorenas_d": Network(InvertedResidualNet, _fields(_D)),
    "hardcorenas_e": Network(InvertedResidualNet, _fields(_E)),
    "hardcorenas_f": Network(InvertedResidualNet, _fields(_F)),
}
