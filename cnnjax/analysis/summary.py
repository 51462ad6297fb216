"""A model layer by layer: shapes, parameters, multiply-adds and receptive fields."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from cnnjax.analysis.complexity import Complexity, multiply_adds
from cnnjax.analysis.receptive import Field, follow, image_field
from cnnjax.analysis.trace import Equation, Trace, trace
from cnnjax.typing import Model

__all__ = ["Layer", "Summary", "summarise"]

Path = tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """One row of a summary.

    `path` is the module's, or for a function that no module wraps (a pooling, an activation, an
    addition) that of the module around it. `output_shape` is `(H, W, C)` or `(features,)`.
    `receptive_field` and `stride` are (vertical, horizontal) in pixels of the image; None where
    positions have been pooled away and every output sees the whole image. A layer that evaluation
    never reaches has the kind "unused" and no shape.
    """

    path: Path
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    batch_statistics: int
    multiply_adds: int
    receptive_field: tuple[int | None, int | None]
    stride: tuple[float | None, float | None]

    @property
    def name(self) -> str:
        """The path joined by dots: the start of the names of its weights."""
        return ".".join(self.path)


@dataclass(frozen=True)
class Summary:
    """The layers of a model in the order of evaluation."""

    layers: tuple[Layer, ...]

    @property
    def total(self) -> Complexity:
        """The sums over all layers; they equal `cnnjax.analysis.count`."""
        return Complexity(
            sum(layer.parameters for layer in self.layers),
            sum(layer.batch_statistics for layer in self.layers),
            sum(layer.multiply_adds for layer in self.layers),
        )

    def collapsed(self, depth: int) -> "Summary":
        """Join neighbours whose paths agree in the first `depth` names; shapes are the last's."""
        joined: list[list[Layer]] = []
        for layer in self.layers:
            previous = joined[-1][0].path if joined else ()
            if layer.path and previous[:depth] == layer.path[:depth]:
                joined[-1].append(layer)
            else:
                joined.append([layer])
        return Summary(tuple(_join(layers, depth) for layers in joined))


def summarise(model: Model, image_shape: Sequence[int]) -> Summary:
    """List a model's layers, without running it.

    A receptive field is that of evaluation's main path, the largest over branches, as if the image
    had no borders. A gate computed from the whole image (squeeze-and-excite) does not enlarge it.

    Args:
        model: a Linen module called as `model(images, train=...)`.
        image_shape: `(H, W, C)`.

    Raises:
        BadArgument: for another shape, or one that the model refuses.

    >>> from cnnjax import build
    >>> summarise(build("resnet18"), (224, 224, 3)).layers[0].receptive_field
    (7, 7)
    """
    traced = trace(model, image_shape)
    modules = _Modules(traced)
    fields: dict[int, Field | None] = {traced.image: image_field()}
    rows: list[_Row] = []
    for equation in traced.equations:
        before = [None if value is None else fields.get(value) for value in equation.inputs]
        field = follow(equation, before)
        fields.update(dict.fromkeys(equation.outputs, field))
        if field is None:
            modules.derive(equation)
            continue
        path, key, kind = modules.place(equation, before, field)
        if key is not None and (not rows or rows[-1].key != key):
            rows.append(_Row(path, key, kind, field, equation.out_shapes[0]))
        elif not rows or (key is None and multiply_adds(equation) == 0):
            continue
        row = rows[-1]
        row.kind = row.kind or kind
        row.field, row.shape = field, equation.out_shapes[0]
        row.multiply_adds += multiply_adds(equation)
    return Summary(tuple(_layers(rows, modules)))


@dataclass
class _Row:
    path: Path
    key: tuple[Any, ...]
    kind: str
    field: Field
    shape: tuple[int, ...]
    multiply_adds: int = 0


class _Modules:
    """Which module an equation belongs to: by its scopes, or by the parameters that it uses."""

    def __init__(self, traced: Trace) -> None:
        self.sizes: dict[tuple[str, Path], int] = {}
        self.leaf_names: dict[Path, set[str]] = {}
        leaves = jax.tree_util.tree_leaves(traced.variables)
        for path, leaf in zip(traced.leaves, leaves, strict=True):
            collection, owner = path[0], path[1:-1]
            self.sizes.setdefault((collection, owner), 0)
            self.sizes[collection, owner] += math.prod(leaf.shape)
            self.leaf_names.setdefault(owner, set()).add(path[-1])
        self.known = {owner[:n] for owner in self.leaf_names for n in range(len(owner) + 1)}
        inner = {owner[:n] for owner in self.leaf_names for n in range(len(owner))}
        self.whole = set(self.leaf_names) - inner
        self.origin = {value: path[1:] for path, value in traced.leaves.items()}

    def derive(self, equation: Equation) -> None:
        """Note that the results of an equation on parameters belong to their module."""
        origins = [self.origin[value] for value in equation.inputs if value in self.origin]
        if origins:
            self.origin.update(dict.fromkeys(equation.outputs, origins[0]))

    def place(
        self, equation: Equation, before: Sequence[Field | None], field: Field
    ) -> tuple[Path, tuple[Any, ...] | None, str]:
        """Return path, key and kind of the row for an equation; key None if it makes no row."""
        path = self.path(equation.scopes)
        kind = _kind(equation, before, field)
        owner = next((path[:n] for n in range(len(path) + 1) if path[:n] in self.whole), None)
        heavy = kind if multiply_adds(equation) else ""
        if owner is not None:
            return owner, ("module", owner), heavy
        used = [self.origin[value] for value in equation.inputs if value in self.origin]
        if used:
            owner, name = used[0][:-1], used[0][-1]
            return owner, ("module", owner), heavy or name.replace("_", " ")
        if equation.call is not None:
            number, name = equation.call
            return path, ("call", number), kind or name.replace("_", " ")
        return path, ("value", equation.outputs) if kind else None, kind

    def path(self, scopes: Path) -> Path:
        """Return the module's path from the scopes around an equation, the root's left out."""
        path: Path = ()
        for scope in scopes[1:]:
            module = scope.rpartition(".")[0]  # the scope of a method is "module.method"
            if (*path, scope) in self.known:
                path = (*path, scope)
            elif (*path, module) in self.known:
                path = (*path, module)
            elif not path or path[-1] not in (scope, module):
                path = (*path, scope)
        return path

    def normalization(self, owner: Path) -> str:
        """Name a module without convolution or matrix product by its variables."""
        if ("batch_stats", owner) in self.sizes:
            return "batch norm"
        names = self.leaf_names.get(owner, set())
        return "norm" if names <= {"scale", "bias"} else ", ".join(sorted(names))


def _kind(equation: Equation, before: Sequence[Field | None], field: Field) -> str:
    """Describe an equation that deserves a row; "" for the others."""
    name, params = equation.primitive, equation.params
    positional = [f for f in before if f is not None and any(f.axes)]
    if name == "conv_general_dilated":
        numbers, kernel = params["dimension_numbers"], equation.in_shapes[1]
        window = [kernel[axis] for axis in numbers.rhs_spec[2:]]
        groups, channels = params["feature_group_count"], equation.in_shapes[0][numbers.lhs_spec[1]]
        depthwise = groups == channels > 1
        text = ("depthwise " if depthwise else "conv ") + _window(window, params["window_strides"])
        if max(params["rhs_dilation"]) > 1:
            text += f" dilation {max(params['rhs_dilation'])}"
        return text + (f" groups {groups}" if groups > 1 and not depthwise else "")
    if name == "dot_general":
        return "linear"
    if name in ("reduce_window_max", "reduce_window_sum"):
        spatial = [axis for axis, runs in enumerate(before[0].axes) if runs] if before[0] else []
        strides = [params["window_strides"][axis] for axis in spatial]
        window = [params["window_dimensions"][axis] for axis in spatial]
        kind = "max pool " if name.endswith("max") else "avg pool "
        return kind + _window(window, strides) if spatial else ""
    if name in ("reduce_sum", "reduce_max") and positional and not any(field.axes):
        return "global max pool" if name.endswith("max") else "global avg pool"
    if name == "reshape" and positional and not any(field.axes):
        return "flatten"
    if name in ("add", "mul", "sub", "max", "concatenate") and sum(map(bool, before)) > 1:
        same = len({value for value in equation.inputs if value is not None}) == 1
        return "" if same else {"mul": "multiply", "sub": "subtract"}.get(name, name)
    return {"tanh": "tanh", "logistic": "sigmoid"}.get(name, "")


def _window(window: Sequence[int], strides: Sequence[int]) -> str:
    steps = "x".join(map(str, sorted(set(strides))))
    return "x".join(map(str, window)) + (f" /{steps}" if max(strides) > 1 else "")


def _layers(rows: Sequence[_Row], modules: _Modules) -> list[Layer]:
    layers: list[Layer] = []
    left = dict(modules.sizes)
    for row in rows:
        owns = row.key[0] == "module"
        size = tuple(
            math.ceil(size) if row.field.stride(dimension) is not None else None
            for dimension, size in enumerate(row.field.size)
        )
        layers.append(
            Layer(
                row.path,
                row.kind or (modules.normalization(row.path) if owns else ""),
                row.shape[1:],
                left.pop(("params", row.path), 0) if owns else 0,
                left.pop(("batch_stats", row.path), 0) if owns else 0,
                row.multiply_adds,
                (size[0], size[1]),
                (_number(row.field.stride(0)), _number(row.field.stride(1))),
            )
        )
    unused = dict.fromkeys(owner for _, owner in left)
    for owner in unused:
        parameters, statistics = (left.get((name, owner), 0) for name in ("params", "batch_stats"))
        layers.append(
            Layer(owner, "unused", None, parameters, statistics, 0, (None, None), (None, None))
        )
    return layers


def _number(value: Any) -> float | None:
    return None if value is None else int(value) if value == int(value) else float(value)


def _join(layers: Sequence[Layer], depth: int) -> Layer:
    if len(layers) == 1:
        return layers[0]
    total = Summary(tuple(layers)).total
    return dataclasses.replace(
        layers[-1], path=layers[0].path[:depth], kind=f"{len(layers)} layers", **vars(total)
    )
