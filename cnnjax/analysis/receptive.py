"""The receptive field of every value of a program, followed along its data flow.

A value's field along one dimension of the image has a size, in pixels, and a stride, the distance
in pixels between the fields of neighbouring positions. A window of k taps, d apart, with step s
maps (size, stride) to (size + (k - 1) d stride, s stride); see Araujo, Norris and Sim 2019,
"Computing receptive fields of convolutional neural networks". Branches that meet take the larger
of each. Sizes are those of an image without borders, so they may exceed the image.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from cnnjax.analysis.trace import Equation

__all__ = ["Field", "follow", "image_field"]

Shape = tuple[int, ...]
Axis = tuple[int, Fraction] | None
"""The dimension of the image that an array's axis runs along (0 vertical, 1 horizontal), stride."""


@dataclass(frozen=True)
class Field:
    """The receptive field of a value: its size in both dimensions and what each axis runs along.

    A dimension that no axis runs along any more has been reduced: every element sees all of it.
    """

    size: tuple[Fraction, Fraction]
    axes: tuple[Axis, ...]

    def stride(self, dimension: int) -> Fraction | None:
        """Return the smallest stride along a dimension, None if it has been reduced."""
        strides = [axis[1] for axis in self.axes if axis and axis[0] == dimension]
        return min(strides, default=None)


def image_field(rank: int = 4) -> Field:
    """Return the field of the images `[B, H, W, C]` themselves: one pixel, stride 1."""
    one = Fraction(1)
    return Field((one, one), (None, (0, one), (1, one)) + (None,) * (rank - 3))


def follow(equation: Equation, fields: Sequence[Field | None]) -> Field | None:
    """Return the field of an equation's results from those of its operands.

    None stands for what does not depend on the images. Where a value without positions (a squeezed
    gate) meets one with positions, the latter's field is the result: a gate does not count.
    """
    followed = [
        _operand(equation, index, field) for index, field in enumerate(fields) if field is not None
    ]
    return _join(followed) if followed else None


def _operand(equation: Equation, index: int, field: Field) -> Field:
    """What one operand contributes to the result."""
    name, params = equation.primitive, equation.params
    old, new = equation.in_shapes[index], equation.out_shapes[0]
    if name == "conv_general_dilated":
        return _convolve(field, old, equation.in_shapes[1], params, len(new))
    if name == "dot_general":
        (contracted, batch) = (pair[index] for pair in params["dimension_numbers"])
        free = [axis for axis in range(len(old)) if axis not in (*contracted, *batch)]
        first = len(batch) if index == 0 else len(new) - len(free)
        places = {axis: place for place, axis in enumerate(free, first)}
        places |= {axis: place for place, axis in enumerate(batch)}
        return _move(field, old, places, len(new))
    if name.startswith("reduce_window"):
        return _window(field, params)
    if "axes" in params and name.startswith(("reduce_", "arg")):
        return _without(field, old, params["axes"])
    if name == "squeeze":
        return _without(field, old, params["dimensions"])
    if name == "transpose":
        places = {axis: place for place, axis in enumerate(params["permutation"])}
        return _move(field, old, places, len(new))
    if name == "broadcast_in_dim":
        return _move(field, old, dict(enumerate(params["broadcast_dimensions"])), len(new))
    if name == "reshape":
        return _reshape(field, old, new)
    if name == "slice":
        return _scale(field, [Fraction(step) for step in params["strides"] or (1,) * len(old)])
    if name == "pad":
        return _scale(field, [Fraction(1, gap + 1) for _, _, gap in params["padding_config"]])
    if len(old) != len(new):
        return _move(field, old, {}, len(new))
    if name == "gather":  # resizing by an index: as many pixels, more or fewer positions
        return _scale(field, [Fraction(a, b) for a, b in zip(old, new, strict=True)])
    return field


def _convolve(
    field: Field, image: Shape, kernel: Shape, params: Mapping[str, Any], rank: int
) -> Field:
    numbers = params["dimension_numbers"]
    size, axes = list(field.size), [None] * rank  # type: list[Fraction], list[Axis]
    for place, (source, target) in enumerate(zip(numbers.lhs_spec, numbers.out_spec, strict=True)):
        axis = field.axes[source]
        if axis is None:
            continue
        dimension, stride = axis
        if place == 1:  # positions that were made channels are summed over
            size[dimension] += (image[source] - 1) * stride
        elif place == 0:
            axes[target] = axis
        else:
            stride /= params["lhs_dilation"][place - 2]
            taps = kernel[numbers.rhs_spec[place]]
            size[dimension] += (taps - 1) * params["rhs_dilation"][place - 2] * stride
            axes[target] = dimension, stride * params["window_strides"][place - 2]
    return Field((size[0], size[1]), tuple(axes))


def _window(field: Field, params: Mapping[str, Any]) -> Field:
    size, axes = list(field.size), list(field.axes)
    for place, axis in enumerate(field.axes):
        if axis is not None:
            dimension, stride = axis
            stride /= params["base_dilation"][place]
            taps = params["window_dimensions"][place] - 1
            size[dimension] += taps * params["window_dilation"][place] * stride
            axes[place] = dimension, stride * params["window_strides"][place]
    return Field((size[0], size[1]), tuple(axes))


def _move(field: Field, shape: Shape, places: Mapping[int, int], rank: int) -> Field:
    """Move axes to their new places; an axis without one is summed over."""
    size, axes = list(field.size), [None] * rank  # type: list[Fraction], list[Axis]
    for source, axis in enumerate(field.axes):
        if axis is None:
            continue
        if source in places:
            axes[places[source]] = axis
        else:
            size[axis[0]] += (shape[source] - 1) * axis[1]
    return Field((size[0], size[1]), tuple(axes))


def _without(field: Field, shape: Shape, gone: Sequence[int]) -> Field:
    kept = [axis for axis in range(len(shape)) if axis not in gone]
    return _move(field, shape, {axis: place for place, axis in enumerate(kept)}, len(kept))


def _scale(field: Field, factors: Sequence[Fraction]) -> Field:
    pairs = zip(field.axes, factors, strict=True)
    return Field(field.size, tuple(axis and (axis[0], axis[1] * f) for axis, f in pairs))


def _reshape(field: Field, old: Shape, new: Shape) -> Field:
    """Follow axes that stay, split or merge; what merges with channels loses its positions."""
    size, axes = list(field.size), [None] * len(new)  # type: list[Fraction], list[Axis]
    for sources, targets in _groups(old, new):
        parts = [(field.axes[source], old[source]) for source in sources if old[source] > 1]
        whole = parts[0][0] if len(parts) == 1 else _merged(parts)
        if whole is None or (len(parts) > 1 and len(targets) > 1):
            for axis, length in parts:
                if axis is not None:
                    size[axis[0]] += (length - 1) * axis[1]
            continue
        for place, target in enumerate(targets):
            inner = math.prod(new[other] for other in targets[place + 1 :])
            axes[target] = whole[0], whole[1] * inner
    return Field((size[0], size[1]), tuple(axes))


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """Divide the axes of both shapes, those of length 1 apart, into runs of equal product."""
    sources = [axis for axis, length in enumerate(old) if length > 1]
    targets = [axis for axis, length in enumerate(new) if length > 1]
    groups = []
    while sources:
        left, right = [sources.pop(0)], [targets.pop(0)]
        a, b = old[left[0]], new[right[0]]
        while a != b:
            if a < b:
                left.append(sources.pop(0))
                a *= old[left[-1]]
            else:
                right.append(targets.pop(0))
                b *= new[right[-1]]
        groups.append((left, right))
    return groups


def _merged(parts: Sequence[tuple[Axis, int]]) -> Axis:
    """Return what several axes run along as one, None if positions mix with other things."""
    outer = parts[0][0]
    if outer is None:
        return None
    dimension, stride = outer
    for axis, length in parts[1:]:
        stride /= length  # an axis of copies: repeated pixels
        if axis is not None and axis != (dimension, stride):
            return None
    return dimension, stride


def _join(fields: Sequence[Field]) -> Field:
    size = [Fraction(0), Fraction(0)]
    for dimension in (0, 1):
        local = [field for field in fields if field.stride(dimension) is not None]
        size[dimension] = max(field.size[dimension] for field in local or fields)
    axes: list[Axis] = []
    for runs in zip(*(field.axes for field in fields), strict=True):
        known = [axis for axis in runs if axis is not None]
        axes.append(max(known, key=lambda axis: axis[1]) if known else None)
    return Field((size[0], size[1]), tuple(axes))
