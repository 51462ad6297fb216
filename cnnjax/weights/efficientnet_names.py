"""EfficientNet-Lite files with the names of lukemelas/EfficientNet-PyTorch, brought to timm's.

Those files number the blocks through (`_blocks.3`), where timm counts groups and blocks inside
them (`blocks.2.0`), and number the norms of a block by what they follow: `_bn0` the expansion,
`_bn1` the depthwise layer, `_bn2` the projection. timm numbers them by order of occurrence.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["TENSORFLOW_BORN", "is_numbered_through", "to_timm_names"]

TENSORFLOW_BORN: Mapping[str, Any] = {"padding": "SAME", "epsilon": 1e-3}
"""Fields of the lite networks that these weights were trained with."""

_OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_NOT_EXPANDED = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")


def is_numbered_through(state: Iterable[str]) -> bool:
    """Tell whether the names of a state dict are these."""
    return "_conv_stem.weight" in state


def to_timm_names(
    state: Mapping[str, np.ndarray], expected: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the state dict under timm's names, of which `expected` are the network's.

    A name that has no counterpart, such as one of a block too many, is kept as it is.

    >>> list(to_timm_names({"_blocks.0._bn1.bias": 0}, ["blocks.0.0.bn1.bias"]))
    ['blocks.0.0.bn1.bias']
    """
    found = {tuple(map(int, match.groups())) for match in map(_BLOCK.match, expected) if match}
    blocks = sorted(found)
    expanded = {name.split(".")[1] for name in state if "._expand_conv." in name}

    def renamed(name: str) -> str:
        module, _, leaf = name.rpartition(".")
        if module in _OUTSIDE:
            return f"{_OUTSIDE[module]}.{leaf}"
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
        if match is None or int(match[1]) >= len(blocks):
            return name
        group, index = blocks[int(match[1])]
        inside = _EXPANDED if match[1] in expanded else _NOT_EXPANDED
        return f"blocks.{group}.{index}.{inside.get(match[2], match[2])}.{leaf}"

    return {renamed(name): array for name, array in state.items()}
