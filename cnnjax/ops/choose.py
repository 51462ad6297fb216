"""Which form a convolution takes on a CPU: by its shapes, and by tables of what was measured.

`choices/` has a table for a kind of processor. Its rows, of one operation, family of layers, dtype
and version of jax, are looked at in their order: the first whose bounds hold, and whose form can
compute the layer, decides. A kind without such rows takes those of the next narrower one, and a
processor of which nothing was measured the stock operation. `experiments/bench_operations.py
--table` writes them.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnnjax.ops.candidates import CANDIDATES, is_depthwise, is_pointwise, is_three
from cnnjax.ops.geometry import Layer
from cnnjax.runtime import processor
from cnnjax.typing import Array

__all__ = [
    "COLUMNS",
    "DTYPES",
    "FAMILIES",
    "TABLES",
    "Rule",
    "choose",
    "family_of",
    "forward",
    "input_gradient",
    "kernel_gradient",
    "read_rules",
    "rules_for",
]

TABLES = Path(__file__).parent / "choices"
"""The directory of the tables, `KIND.csv`."""

COLUMNS = (
    "operation", "family", "dtype", "jax", "width", "pixels", "form", "over_best", "worst", "layers"
)  # fmt: skip
"""Of a table. `jax`: the version since which the row holds. `width` and `pixels`: the least smaller
number of the channels of the images and of the result, and the least number of the result's pixels.
Of all rows of its group together: `over_best`, how many times as long as the fastest form of each
layer they take, as a geometric mean; `worst`, at most; `layers`, so many were measured."""

FAMILIES = ("depthwise", "pointwise", "3x3", "grouped 3x3", "dense", "grouped")
"""Kinds of layers: `3x3` is of stride 1, `dense` and `grouped` are all others."""

DTYPES = ("float32", "bfloat16")
"""Those that are measured; every other is taken for float32."""

_NARROWER = {"amx": ("amx", "avx512", "avx2"), "avx512": ("avx512", "avx2"), "avx2": ("avx2",)}

Group = tuple[str, str, str]
"""Operation, family and dtype."""


class Rule(NamedTuple):
    """A form for layers of at least a width, the smaller number of channels, and of pixels."""

    form: str
    width: int = 0
    pixels: int = 0


def read_rules(
    path: Path, version: Sequence[int] = jax.__version_info__
) -> dict[Group, tuple[Rule, ...]]:
    """Return the rules of a table for a version of jax: of those since when, the latest."""
    found: dict[Group, dict[tuple[int, ...], list[Rule]]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            since = tuple(map(int, row["jax"].split(".")))
            if since <= tuple(version):
                group = found.setdefault((row["operation"], row["family"], row["dtype"]), {})
                rule = Rule(row["form"], int(row["width"]), int(row["pixels"]))
                group.setdefault(since, []).append(rule)
    return {group: tuple(since[max(since)]) for group, since in found.items()}


@cache
def rules_for(kind: str) -> Mapping[Group, tuple[Rule, ...]]:
    """Return the rules for a kind of processor, a key of `cnnjax.runtime.PROCESSORS`."""
    rules: dict[Group, tuple[Rule, ...]] = {}
    for name in reversed(_NARROWER.get(kind, ())):
        if (path := TABLES / f"{name}.csv").exists():
            rules.update(read_rules(path))
    return rules


# Read at import: a variable that names no kind is refused before anything is computed.
_RULES = rules_for(processor())


def forward(x: Array, w: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Convolve images `[B, H, W, C]` with a kernel `[kh, kw, C/groups, O]`.

    `partitioned`: see `cnnjax.ops.candidates`.
    """
    name = choose("forward", layer, x.shape[3], w.shape[3], x.dtype)
    return CANDIDATES["forward"][name].program(x, w, layer, partitioned=partitioned)


def input_gradient(g: Array, w: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Return the transpose of `forward` in the images, applied to `g` `[B, H', W', O]`."""
    channels = layer.image_shape(g, w)[3]
    name = choose("input_gradient", layer, channels, w.shape[3], g.dtype)
    return CANDIDATES["input_gradient"][name].program(g, w, layer, partitioned=partitioned)


def kernel_gradient(x: Array, g: Array, layer: Layer, *, partitioned: bool = False) -> Array:
    """Return the transpose of `forward` in the kernel, applied to `g` `[B, H', W', O]`."""
    name = choose("kernel_gradient", layer, x.shape[3], g.shape[3], x.dtype)
    return CANDIDATES["kernel_gradient"][name].program(x, g, layer, partitioned=partitioned)


def choose(
    operation: str,
    layer: Layer,
    channels: int,
    outputs: int,
    dtype: Any,
    rules: Mapping[Group, Sequence[Rule]] | None = None,
) -> str:
    """Return the name of the form that computes an operation of a layer, a key of `CANDIDATES`.

    Args:
        operation: a key of `CANDIDATES`.
        layer: geometry and sizes.
        channels: of the images.
        outputs: channels of the result.
        dtype: of the operands.
        rules: by group; by default those for this processor.
    """
    group = (operation, family_of(layer, channels), _measured(dtype))
    height, width = layer.output_size
    for rule in (_RULES if rules is None else rules).get(group, ()):
        wide = min(channels, outputs) >= rule.width and height * width >= rule.pixels
        if wide and CANDIDATES[operation][rule.form].fits(layer, channels):
            return rule.form
    return "stock"


def family_of(layer: Layer, channels: int) -> str:
    """Return which of `FAMILIES` a layer is of, by its geometry and the images' channels."""
    if is_depthwise(layer, channels):
        return "depthwise"
    if is_pointwise(layer):
        return "pointwise"
    family = "3x3" if is_three(layer) else "dense"
    if layer.geometry.groups == 1:
        return family
    return "grouped 3x3" if family == "3x3" else "grouped"


def _measured(dtype: Any) -> str:
    return "bfloat16" if dtype == jnp.bfloat16 else "float32"
