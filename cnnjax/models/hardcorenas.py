"""HardCoRe-NAS: searched under a hard limit of latency.

Nayman et al. 2021 (arXiv:2102.11646), as timm.models.hardcorenas defines it. The networks differ in
what the search was free to choose: the blocks' number, kernel sizes, expansions and squeeze-excite.
"""

from typing import Any

from cnnjax.models.inverted_residual import InvertedResidual, PlainLayer, Row, Separable, Stages
from cnnjax.models.inverted_residual_net import V3_SQUEEZE, PooledEnd, described, networks
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


# fmt: off
NETWORKS = networks({
    # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
    "hardcorenas_a": (_fields(_A), 224, 5_260_232, 20_384, 0.2242, 75.926, "miil_green_in1k"),
    "hardcorenas_b": (_fields(_B), 224, 5_176_544, 25_120, 0.2518, 76.55, "miil_green_in1k"),
    "hardcorenas_c": (_fields(_C), 224, 5_521_224, 27_424, 0.2701, 77.092, "miil_green_in1k"),
    "hardcorenas_d": (_fields(_D), 224, 7_500_208, 33_168, 0.2878, 77.45, "miil_green_in1k"),
    "hardcorenas_e": (_fields(_E), 224, 8_070_992, 35_776, 0.3387, 77.788, "miil_green_in1k"),
    "hardcorenas_f": (_fields(_F), 224, 8_199_688, 37_376, 0.3419, 78.1, "miil_green_in1k"),
})
# fmt: on
