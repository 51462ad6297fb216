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


_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(\w+)(.*)")
# The layers of an inverted residual in their order, and the norm of each; a squeeze-excite of two
# layers has none. A block has those of them that its kind has.
_EXPANDED = ("conv_pw", "bn1"), ("conv_dw", "bn2"), ("se", ""), ("conv_pwl", "bn3")
_SEPARABLE = ("conv_dw", "bn1"), ("se", ""), ("conv_pw", "bn2")
_FUSED = ("conv_exp", "bn1"), ("conv_pwl", "bn2")
_PLAIN = (("conv", "bn1"),)


def _inverted_residuals(
    names: Collection[str],
    inside: Callable[[tuple[tuple[str, str], ...]], Mapping[str, str]],
    place: Callable[[int, int, int, int], str],
    ends: Mapping[str, str],
) -> dict[str, str]:
    """Name the variables of a network of inverted residuals.

    Args:
        names: ours.
        inside: the modules of a block there, of the layers that it has.
        place: the name of a block there, from its group, its index in that, its index in all, and
            the number of groups; "" for a block that has none.
        ends: the modules outside blocks; "{blocks}" is 1 more than how many there are, "{groups}"
            of groups.
    """
    found: dict[tuple[int, int], set[str]] = {}
    for name in names:
        if match := _BLOCK.fullmatch(name):
            found.setdefault((int(match[1]), int(match[2])), set()).add(match[3])
    blocks = sorted(found)
    groups = len({group for group, _ in blocks})
    counts = {"blocks": len(blocks) + 1, "groups": groups + 1}
    there = {}
    for name in names:
        if match := _BLOCK.fullmatch(name):
            block = int(match[1]), int(match[2])
            has = found[block]
            kinds = [k for k in (_EXPANDED, _SEPARABLE, _FUSED, _PLAIN) if k[0][0] in has]
            kind = next(k for k in kinds if k[-1][0] in has)
            layers = tuple(layer for layer in kind if layer[0] in has)
            where = inside(layers)
            rest = match[4]
            for ours, theirs in (".conv_reduce", ".fc1"), (".conv_expand", ".fc2"):
                rest = rest.replace(ours, theirs)
            at = place(*block, blocks.index(block), groups)
            there[name] = f"{at}.{where[match[3]]}{rest}"
        else:
            module, _, leaf = name.partition(".")
            there[name] = f"{ends.get(module, module).format(**counts)}.{leaf}"
    return there


def _in_sequence(layers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """`block` is a sequence of layers, each a sequence of convolution and norm."""
    if layers == _PLAIN:
        return {"conv": "0", "bn1": "1"}
    where: dict[str, str] = {}
    for at, (conv, norm) in enumerate(layers):
        where |= {conv: f"block.{at}.0", norm: f"block.{at}.1"} if norm else {conv: f"block.{at}"}
    return where


def _in_v2(layers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """`conv` is a sequence of layers, of which the last is not a sequence of its own."""
    where = {}
    for at, (conv, norm) in enumerate(layers):
        last = at == len(layers) - 1
        where[conv] = f"conv.{at}" if last else f"conv.{at}.0"
        where[norm] = f"conv.{at + 1}" if last else f"conv.{at}.1"
    return where


def _in_mnasnet(layers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """`layers` is convolution, norm, activation, thrice; the first block is part of the stem's."""
    prefix, first = ("", 3) if layers == (_SEPARABLE[0], _SEPARABLE[2]) else ("layers.", 0)
    where = {}
    for at, (conv, norm) in enumerate(layers):
        where[conv] = f"{prefix}{first + 3 * at}"
        where[norm] = f"{prefix}{first + 3 * at + 1}"
    return where


def _mobilenet_v2(names: Collection[str]) -> dict[str, str]:
    ends = {
        "conv_stem": "features.0.0",
        "bn1": "features.0.1",
        "conv_head": "features.{blocks}.0",
        "bn2": "features.{blocks}.1",
        "classifier": "classifier.1",
    }
    place = lambda group, index, at, groups: f"features.{at + 1}"
    return _inverted_residuals(names, _in_v2, place, ends)


def _mobilenet_v3(names: Collection[str]) -> dict[str, str]:
    ends = {
        "conv_stem": "features.0.0",
        "bn1": "features.0.1",
        "conv_head": "classifier.0",
        "classifier": "classifier.3",
    }
    place = lambda group, index, at, groups: f"features.{at + 1}"
    return _inverted_residuals(names, _in_sequence, place, ends)


def _efficientnet(names: Collection[str]) -> dict[str, str]:
    ends = {
        "conv_stem": "features.0.0",
        "bn1": "features.0.1",
        "conv_head": "features.{groups}.0",
        "bn2": "features.{groups}.1",
        "classifier": "classifier.1",
    }
    inside = lambda layers: (
        {"conv": "block.0.0", "bn1": "block.0.1"} if layers == _PLAIN else _in_sequence(layers)
    )
    place = lambda group, index, at, groups: f"features.{group + 1}.{index}"
    return _inverted_residuals(names, inside, place, ends)


def _mnasnet(names: Collection[str]) -> dict[str, str]:
    ends = {
        "conv_stem": "layers.0",
        "bn1": "layers.1",
        "conv_head": "layers.14",
        "bn2": "layers.15",
        "classifier": "classifier.1",
    }
    place = lambda group, index, at, groups: f"layers.{group + 7}.{index}" if group else "layers"
    return _inverted_residuals(names, _in_mnasnet, place, ends)


TABLES: Mapping[str, Callable[[Collection[str]], Mapping[str, str]]] = {
    "convnext": _convnext,
    "efficientnet": _efficientnet,
    "mnasnet": _mnasnet,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3": _mobilenet_v3,
    "regnet": _regnet,
}
"""A function for each family."""
