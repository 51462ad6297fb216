"""Where a window lies on an image: strides, padding and dilation, resolved and checked once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnnjax.errors import BadArgument, unknown

__all__ = [
    "Geometry",
    "Layer",
    "Pads",
    "Pair",
    "output_size",
    "pair",
    "resolve_padding",
    "window_padding",
]

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


class Geometry(NamedTuple):
    """A convolution without its arrays: everything a form needs beyond two shapes.

    `padding` is explicit, `((top, bottom), (left, right))`, never negative.
    """

    strides: Pair
    padding: Pads
    dilation: Pair
    groups: int

    def output_size(self, image_size: Pair, kernel_size: Pair) -> Pair:
        """Return the height and width of the output."""
        return output_size(image_size, kernel_size, self.strides, self.padding, self.dilation)


class Layer(NamedTuple):
    """A geometry on images and kernels of known sizes: what is said beside a form's two arrays.

    Forward passes take `(images, kernel)`, input gradients `(g, kernel)` and kernel gradients
    `(images, g)`, with images `[B, H, W, C]`, a kernel `[kh, kw, C / groups, O]` and `g`
    `[B, H', W', O]`; a leading axis of any of them is none of a layer's business.
    """

    geometry: Geometry
    image_size: Pair
    kernel_size: Pair

    @property
    def output_size(self) -> Pair:
        """`(H', W')`."""
        return self.geometry.output_size(self.image_size, self.kernel_size)

    def output_shape(self, x: Any, w: Any) -> tuple[int, ...]:
        """Return the shape of `g`."""
        return (x.shape[-4], *self.output_size, w.shape[-1])

    def image_shape(self, g: Any, w: Any) -> tuple[int, ...]:
        """Return the shape of the images."""
        return (g.shape[-4], *self.image_size, w.shape[-2] * self.geometry.groups)

    def kernel_shape(self, x: Any, g: Any) -> tuple[int, ...]:
        """Return the shape of the kernel."""
        return (*self.kernel_size, x.shape[-1] // self.geometry.groups, g.shape[-1])


def pair(argument: str, value: Any, least: int = 1) -> Pair:
    """Return `value` as (vertical, horizontal); raises BadArgument below `least`.

    >>> pair("strides", 2)
    (2, 2)
    """
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(values) != 2 or not all(_is_integer(v) and v >= least for v in values):
        raise BadArgument(
            f"{argument}: got {value!r}; allowed: an integer of at least {least}, or two of them"
        )
    return int(values[0]), int(values[1])


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def output_size(
    image_size: Pair, window: Pair, strides: Pair, padding: Pads, dilation: Pair = (1, 1)
) -> Pair:
    """Return the height and width that a window leaves: `(size + pads - extent) // stride + 1`.

    The extent of a dilated window is `(window - 1) * dilation + 1`.
    """
    height, width = (
        (size + low + high - ((taps - 1) * spread + 1)) // stride + 1
        for size, taps, stride, (low, high), spread in zip(
            image_size, window, strides, padding, dilation, strict=True
        )
    )
    return height, width


def resolve_padding(
    padding: str | int | Sequence[int] | Sequence[Sequence[int]],
    image_size: Pair,
    window: Pair,
    strides: Pair,
    dilation: Pair = (1, 1),
) -> Pads:
    """Return padding as `((top, bottom), (left, right))`.

    "SAME" gives `ceil(size / stride)` outputs and puts the odd pixel below and to the right, as
    XLA and TensorFlow do; "VALID" is none; an integer pads all four sides, a pair (vertical,
    horizontal) both sides of each axis.

    Raises BadArgument for another name, a negative amount or a wrong nesting.

    >>> resolve_padding("SAME", (32, 32), (3, 3), (2, 2))
    ((0, 1), (0, 1))
    """
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise unknown("padding", padding, ("SAME", "VALID"))
        if padding == "VALID":
            return (0, 0), (0, 0)
        top_bottom, left_right = (
            _same(*axis) for axis in zip(image_size, window, strides, dilation, strict=True)
        )
        return top_bottom, left_right
    if isinstance(padding, Sequence) and all(isinstance(side, Sequence) for side in padding):
        if len(padding) != 2:
            raise BadArgument(f"padding: got {padding!r}; allowed: ((top, bottom), (left, right))")
        return pair("padding", padding[0], 0), pair("padding", padding[1], 0)
    vertical, horizontal = pair("padding", padding, 0)
    return (vertical, vertical), (horizontal, horizontal)


def _same(size: int, taps: int, stride: int, spread: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + (taps - 1) * spread + 1 - size, 0)
    return total // 2, total - total // 2


def window_padding(
    padding: str | int | Sequence[int] | Sequence[Sequence[int]],
    image_size: Pair,
    window: Pair,
    strides: Pair,
    dilation: Pair = (1, 1),
    name: str = "kernel",
) -> Pads:
    """Return `resolve_padding`, having checked that the window fits at least once.

    Raises BadArgument, with the sizes, where the window is larger than the padded image.
    """
    pads = resolve_padding(padding, image_size, window, strides, dilation)
    if min(output_size(image_size, window, strides, pads, dilation)) < 1:
        extent = " x ".join(str((k - 1) * d + 1) for k, d in zip(window, dilation, strict=True))
        padded = " x ".join(str(n + sum(p)) for n, p in zip(image_size, pads, strict=True))
        spread = f" (dilation {dilation[0]}, {dilation[1]})" if dilation != (1, 1) else ""
        raise BadArgument(
            f"{name}: {extent}{spread} does not fit the image of {image_size[0]} x "
            f"{image_size[1]}, padded {padded}"
        )
    return pads
