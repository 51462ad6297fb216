"""What people have as images, labels and names of classes, as a dataset keeps them, or in words."""

from typing import Any

import numpy as np

from cnnjax.errors import BadArgument

__all__ = ["labels_of", "names_of_classes", "pixels_of", "rows_of"]


def pixels_of(value: Any, what: str) -> np.ndarray:
    """Return images as `[N, H, W, C]` uint8, in 0..255.

    Args:
        value: an array, or what makes one, of that shape and of integers in that range.
        what: they are called, for the error.

    Raises:
        BadArgument: for anything else; says what would do.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # numpy's words for a list of images of several sizes
        array = np.asarray([None])
    if array.dtype == object:
        raise BadArgument(f"{what}: {_several_sizes(value)}")
    if array.ndim != 4 or array.size == 0:
        advice = {3: "; grey images get their one channel by images[..., None]"}.get(array.ndim, "")
        if array.size == 0:
            advice = ": empty"
        raise BadArgument(
            f"{what}: expected uint8 [N, H, W, C], "
            f"received {array.dtype} {list(array.shape)}{advice}"
        )
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.integer):
        advice = ""
        if np.issubdtype(array.dtype, np.floating):
            advice = "; floats in 0..1 become that by (255 * images).round().astype(np.uint8)"
        raise BadArgument(f"{what}: expected uint8 [N, H, W, C], received {array.dtype}{advice}")
    least, most = int(array.min()), int(array.max())
    if least < 0 or most > 255:
        raise BadArgument(f"{what}: expected values in 0..255, received {least}..{most}")
    return array.astype(np.uint8)


def labels_of(value: Any, number: int, classes: int, what: str) -> np.ndarray:
    """Return labels as `[number]` int32, in 0..classes-1.

    Args:
        value: an array, or what makes one, of that shape and of integers in that range.
        number: of images.
        classes: how many there are.
        what: they are called, for the error.

    Raises:
        BadArgument: for anything else; says what would do.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise BadArgument(f"{what}: expected integers [{number}]; {error}") from error
    if array.ndim == 2 and len(array) == number and array.shape[1] == 1:
        raise BadArgument(f"{what}: expected [{number}], received [{number}, 1]; take labels[:, 0]")
    if array.ndim == 2 and len(array) == number:
        raise BadArgument(
            f"{what}: expected [{number}], received {list(array.shape)}; where each row has a 1 "
            "for its class, take labels.argmax(1)"
        )
    if array.shape != (number,) or not np.issubdtype(array.dtype, np.integer):
        raise BadArgument(
            f"{what}: expected int32 [{number}], received {array.dtype} {list(array.shape)}"
        )
    outside = np.flatnonzero((array < 0) | (array >= classes))
    if outside.size:
        first = outside[0]
        raise BadArgument(
            f"{what}: {outside.size} of {number} are outside the classes 0..{classes - 1}; "
            f"the first is {array[first]} at index {first}"
        )
    return array if array.dtype == np.int32 else array.astype(np.int32)


def rows_of(value: Any, number: int, name: str) -> np.ndarray:
    """Return indices into `number` images, `[M]`; `BadArgument` for none, or one outside."""
    chosen = np.asarray(value)
    if chosen.size == 0:
        raise BadArgument(f"indices: empty; {name!r} has {number} images")
    if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
        raise BadArgument(
            f"indices: expected integers [M], received {chosen.dtype} {list(chosen.shape)}"
        )
    if chosen.min() < -number or chosen.max() >= number:
        raise BadArgument(
            f"indices: {chosen.min()}..{chosen.max()} received, 0..{number - 1} allowed"
        )
    return chosen


def names_of_classes(value: Any, what: str) -> tuple[str, ...]:
    """Return names of classes as a tuple; `BadArgument` unless they are a sequence of texts."""
    names = None if isinstance(value, str | bytes) else _tuple(value)
    if names is None or not all(isinstance(name, str) for name in names):
        raise BadArgument(f"{what}: expected a sequence of names, received {value!r:.80}")
    return tuple(map(str, names))


def _tuple(value: Any) -> tuple[Any, ...] | None:
    try:
        return tuple(value)
    except TypeError:
        return None


def _shape(image: Any) -> tuple[int, ...]:
    try:
        return np.shape(image)
    except ValueError:  # of several lengths itself
        return ()


def _several_sizes(images: Any) -> str:
    """Two images that differ in shape, in words."""
    shapes = [_shape(image) for image in images]
    other = next((index for index, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is None:
        return "expected uint8 [N, H, W, C], received objects that are no arrays of numbers"
    return (
        f"they differ in size, {shapes[0]} at index 0 and {shapes[other]} at index {other}; "
        "allowed is one size: cnnjax.data.resize_images(image[None], pixels) makes squares"
    )
