"""torchvision's names, from ours: of the families for which it has other names than timm."""

import re
from collections.abc import Callable, Collection, Mapping

__all__ = ["FACTOR", "TABLES"]

FACTOR = ".layer_scale"
"""The end of names whose arrays `[C]` are `[C, 1, 1]` there."""

_INSIDE_CONVNEXT = {
    "conv_dw": "block.0",
    "norm": "block.2",
    "mlp.fc1": "block.3",
    "mlp.fc2": "block.5",
    "gamma": "layer_scale",
}


def _convnext(names: Collection[str]) -> dict[str, str]:
    """One sequence of stem, stage, downsampling, stage, ...; blocks are sequences as well."""
    rules: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r"stem\.(.*)", lambda m: f"features.0.{m[1]}"),
        (r"stages\.(\d)\.downsample\.(.*)", lambda m: f"features.{2 * int(m[1])}.{m[2]}"),
        (
            r"stages\.(\d)\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc1|mlp\.fc2|gamma)(.*)",
            lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}.{_INSIDE_CONVNEXT[m[3]]}{m[4]}",
        ),
        (r"head\.norm\.(.*)", lambda m: f"classifier.0.{m[1]}"),
        (r"head\.fc\.(.*)", lambda m: f"classifier.2.{m[1]}"),
    ]
    return _by_rules(names, rules)


_INSIDE_REGNET = {
    "conv1.": "f.a.",
    "conv2.": "f.b.",
    "se.": "f.se.",
    "conv3.": "f.c.",
    "downsample.": "proj.",
}


def _regnet(names: Collection[str]) -> dict[str, str]:
    """Layers are sequences of convolution and norm; blocks count from 0."""
    numbered = {"conv": "0", "bn": "1"}

    def block(m: re.Match[str]) -> str:
        inside = numbered.get(m[4], m[4])
        stage, index = f"block{m[1]}", int(m[2]) - 1
        return f"trunk_output.{stage}.{stage}-{index}.{_INSIDE_REGNET[m[3]]}{inside}.{m[5]}"

    rules: list[tuple[str, Callable[[re.Match[str]], str]]] = [
        (r"stem\.(conv|bn)\.(.*)", lambda m: f"stem.{numbered[m[1]]}.{m[2]}"),
        (r"s(\d)\.b(\d+)\.(conv\d\.|se\.|downsample\.)(\w+)\.(\w+)", block),
        (r"head\.(fc\..*)", lambda m: m[1]),
    ]
    return _by_rules(names, rules)


def _by_rules(
    names: Collection[str], rules: list[tuple[str, Callable[[re.Match[str]], str]]]
) -> dict[str, str]:
    """Return for each name what the first rule that matches all of it makes of it."""
    found = {}
    for name in names:
        for pattern, there in rules:
            if match := re.fullmatch(pattern, name):
                found[name] = there(match)
                break
    return found


TABLES: Mapping[str, Callable[[Collection[str]], Mapping[str, str]]] = {
    "convnext": _convnext,
    "regnet": _regnet,
}
"""A function for each family."""
