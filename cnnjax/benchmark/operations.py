"""How long each form of a convolution and of its gradients takes, on layers that networks have."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.analysis.trace import trace
from cnnjax.benchmark.clock import timed
from cnnjax.benchmark.interleave import interleave
from cnnjax.ops.candidates import CANDIDATES, Program
from cnnjax.ops.choose import FAMILIES, family_of
from cnnjax.ops.geometry import Geometry, Layer
from cnnjax.ops.xla import LAYOUT
from cnnjax.typing import Array, Model

__all__ = ["Shape", "layers_of", "measure", "spread_out"]


@dataclass(frozen=True)
class Shape:
    """A convolution of `batch` images of so many `channels` to so many `outputs`."""

    batch: int
    channels: int
    outputs: int
    layer: Layer

    @property
    def family(self) -> str:
        """One of `cnnjax.ops.choose.FAMILIES`."""
        return family_of(self.layer, self.channels)

    @property
    def width(self) -> int:
        """The smaller number of channels."""
        return min(self.channels, self.outputs)

    @property
    def pixels(self) -> int:
        """Of the result."""
        return math.prod(self.layer.output_size)

    @property
    def label(self) -> str:
        """Its name in results: `3x3/1 16-16 32x32 b128 p1.1.1.1`, with groups `g32`."""
        (strides, padding, _, groups), size, kernel = self.layer
        taps, pixels = ("x".join(map(str, each)) for each in (kernel, size))
        words = [f"{taps}/{strides[0]}", f"{self.channels}-{self.outputs}", pixels]
        words += [f"b{self.batch}", f"p{'.'.join(str(side) for axis in padding for side in axis)}"]
        return " ".join(words + [f"g{groups}"] * (groups > 1))

    def operands(self, operation: str, dtype: Any) -> tuple[Array, Array]:
        """Return random arrays that the forms of an operation take."""
        layer, draw = self.layer, np.random.default_rng(0)
        shapes = {
            "images": (self.batch, *layer.image_size, self.channels),
            "kernel": (*layer.kernel_size, self.channels // layer.geometry.groups, self.outputs),
            "g": (self.batch, *layer.output_size, self.outputs),
        }
        names = {
            "forward": ("images", "kernel"),
            "input_gradient": ("g", "kernel"),
            "kernel_gradient": ("images", "g"),
        }
        first, second = (
            jnp.asarray(draw.standard_normal(shapes[name], np.float32), dtype)
            for name in names[operation]
        )
        return first, second


def layers_of(model: Model, image_shape: Sequence[int], batch: int) -> list[Shape]:
    """Return the different two-dimensional convolutions of a network, in their order."""
    found: dict[Shape, None] = {}
    for equation in trace(model, image_shape).equations:
        if equation.primitive != "conv_general_dilated" or len(equation.in_shapes[0]) != 4:
            continue
        params, (images, kernel) = equation.params, equation.in_shapes
        numbers = jax.lax.conv_dimension_numbers(images, kernel, LAYOUT)
        if params["dimension_numbers"] != numbers or set(params["lhs_dilation"]) != {1}:
            continue
        (down, right), (rows, columns) = params["window_strides"], params["padding"]
        spread, groups = params["rhs_dilation"], params["feature_group_count"]
        pads = tuple(rows), tuple(columns)
        geometry = Geometry((down, right), pads, (spread[0], spread[1]), groups)
        layer = Layer(geometry, (images[1], images[2]), (kernel[0], kernel[1]))
        found[Shape(batch, images[3], kernel[3], layer)] = None
    return list(found)


def spread_out(shapes: Iterable[Shape], numbers: Mapping[str, int]) -> list[Shape]:
    """Return so many shapes of each family, as far apart as may be.

    The first is the one of the fewest channels; each next one is the farthest from those that are
    chosen, in the logarithms of width, pixels, taps and stride.
    """
    every = list(dict.fromkeys(shapes))
    chosen: list[Shape] = []
    for family in FAMILIES:
        left = [shape for shape in every if shape.family == family]
        kept: list[Shape] = []
        while left and len(kept) < numbers.get(family, 0):
            far = partial(_distance_from, kept) if kept else lambda shape: -shape.width
            kept.append(max(left, key=far))
            left.remove(kept[-1])
        chosen += kept
    return chosen


def _distance_from(kept: Sequence[Shape], shape: Shape) -> float:
    return min(math.dist(_place(shape), _place(other)) for other in kept)


def _place(shape: Shape) -> list[float]:
    taps, stride = math.prod(shape.layer.kernel_size), shape.layer.geometry.strides[0]
    return [math.log(number) for number in (shape.width, shape.pixels, taps, stride)]


class _Compiled:
    """One form's program with its operands."""

    def __init__(self, program: Program, layer: Layer, operands: tuple[Array, Array]) -> None:
        call = lambda a, b: program(a, b, layer, partitioned=False)
        self._call, self._operands = jax.jit(call).lower(*operands).compile(), operands

    def step(self) -> float:
        """Compute to the end and return the seconds."""
        return timed(lambda: self._call(*self._operands))[0]


def measure(
    shape: Shape, dtype: Any, rounds: int, patience: float
) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of each form of each operation that can compute a shape, round by round.

    The forms of an operation take turns, as `interleave` has it: one whose first step takes longer
    than `patience` seconds takes no other. The stock operation of groups is left out: a single
    gradient of 32 groups takes it a minute.
    """
    grouped = shape.layer.geometry.groups > 1
    found = {}
    for operation, forms in CANDIDATES.items():
        operands = shape.operands(operation, dtype)
        peers = {
            name: _Compiled(form.program, shape.layer, operands)
            for name, form in forms.items()
            if form.fits(shape.layer, shape.channels) and not (grouped and name == "stock")
        }
        taken = interleave(peers, rounds, patience)
        found[operation] = {name: taken[name]["seconds"] for name in peers}
    return found
