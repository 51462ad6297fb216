"""Names of lukemelas/EfficientNet-PyTorch, from ours: files of EfficientNet-Lite have them.

Those files number the blocks through (`_blocks.3`), where ours count groups and blocks inside
them (`blocks.2.0`), and number the norms of a block by what they follow: `_bn0` the expansion,
`_bn1` the depthwise layer, `_bn2` the projection. Ours are numbered by order of occurrence.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["TABLES", "TENSORFLOW_BORN"]

TENSORFLOW_BORN: Mapping[str, Any] = {"padding": "SAME", "epsilon": 1e-3}
"""Fields of the lite networks that these weights were trained with."""

_OUTSIDE = {
    "conv_stem": "_conv_stem",
    "bn1": "_bn0",
    "conv_head": "_conv_head",
    "bn2": "_bn1",
    "classifier": "_fc",
}
_EXPANDED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
_NOT_EXPANDED = {
    "conv_dw": "_depthwise_conv",
    "bn1": "_bn1",
    "conv_pw": "_project_conv",
    "bn2": "_bn2",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(\w+)")


def _numbered_through(names: Collection[str]) -> dict[str, str]:
    matches = [match for name in names if (match := _BLOCK.match(name))]
    blocks = sorted({(int(match[1]), int(match[2])) for match in matches})
    expanded = {(int(m[1]), int(m[2])) for m in matches if m[3] == "conv_pwl"}

    def there(name: str) -> str:
        module, _, leaf = name.rpartition(".")
        if (match := _BLOCK.fullmatch(module)) is None:
            return f"{_OUTSIDE.get(module, module)}.{leaf}"
        block = int(match[1]), int(match[2])
        inside = _EXPANDED if block in expanded else _NOT_EXPANDED
        return f"_blocks.{blocks.index(block)}.{inside.get(match[3], match[3])}.{leaf}"

    return {name: there(name) for name in names}


TABLES: Mapping[str, Callable[[Collection[str]], Mapping[str, str]]] = {
    "efficientnet_lite": _numbered_through
}
"""A function for each family."""
