"""Reading one split of a TFDS dataset into memory."""

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.features import find_features
from cnnjax.data.library import reason, silence
from cnnjax.data.prepare import prepare
from cnnjax.data.resizing import MOST_PIXELS, resize_images
from cnnjax.errors import BadArgument, Failed, bounded, missing_extra, unknown
from cnnjax.runtime import need_bytes

__all__ = ["check_resize", "load", "read_split"]

_AT_ONCE = 1024
"""Records that come from the file together."""

_LESS = "take a slice such as 'train[:1000]', or resize it to fewer pixels"


def load(
    name: str,
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
    *,
    resize: int | None = None,
) -> Dataset:
    """Read one split of a dataset into memory, in the order of its records.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows.
        split: `"train"`, `"test"`, what else the dataset has, or a slice as TFDS writes it, such
            as `"train[:1000]"` or `"train[90%:]"`.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        resize: the side in pixels of the squares that images become as they are read, bicubic;
            None leaves them as they are, and all must have one size.

    Returns:
        Images `[N, H, W, C]` uint8, labels `[N]` int32 and the names of the classes.

    Raises:
        BadArgument: for an unknown dataset or split, an empty split, a dataset without an image
            or a class label, images of several sizes, or a label outside the classes.
        Failed: if the dataset cannot be prepared or read, or does not fit into memory; says how to
            repair that.
    """
    check_resize(resize)
    return read_split(prepare(name, data_dir), name, split, resize)


def check_resize(resize: int | None) -> None:
    """Raise `BadArgument` for a side that images cannot have; before anything is prepared."""
    if resize is not None:
        bounded("resize", resize, 1, MOST_PIXELS)


def read_split(builder: Any, name: str, split: str, resize: int | None = None) -> Dataset:
    """Return what `load` does, of a builder that `prepare` gave for this name."""
    with silence():
        image, label, class_names = find_features(builder)
        number = _count(builder, name, split)
        what = f"{split!r} of {name!r}"
        records = _records(builder, what, split, number)
        try:
            images, labels = _collect(records, number, what, image, label, resize)
        except MemoryError as error:
            raise Failed(f"{what}, {number:,} images, does not fit into memory; {_LESS}") from error
    return Dataset(name, split, images, labels, class_names)


def _count(builder: Any, name: str, split: str) -> int:
    splits = builder.info.splits
    try:
        number = int(splits[split].num_examples)
    except Exception as error:  # TFDS raises several kinds for what it cannot parse
        base = str(split).partition("[")[0]
        if base not in splits:
            raise unknown("split", split, splits) from error
        raise BadArgument(
            f"split: {split!r} is not a slice of the {splits[base].num_examples} images of "
            f"{base!r} of {name!r}; allowed are such as '{base}[:1000]' or '{base}[90%:]'"
        ) from error
    if number == 0:
        raise BadArgument(f"split: {split!r} of {name!r} is empty")
    return number


def _records(builder: Any, what: str, split: str, number: int) -> Iterator[list[dict[str, Any]]]:
    """Give all records in their order, some at a time, and word what TFDS says about them."""
    try:
        source = builder.as_data_source(split)
        for start in range(0, number, _AT_ONCE):
            yield source.__getitems__(list(range(start, min(start + _AT_ONCE, number))))
    except (BadArgument, Failed, MemoryError):
        raise
    except NotImplementedError as error:
        raise Failed(
            f"{what} is in {builder.data_path} in the format {builder.info.file_format.value}, "
            "which only TensorFlow reads; prepare it in another directory with "
            "download_and_prepare(file_format='array_record')"
        ) from error
    except ImportError as error:
        raise missing_extra(error.name or "pillow", "data") from error
    except Exception as error:
        raise Failed(
            f"{what} in {builder.data_path} cannot be read: {reason(error)}; delete that "
            "directory and prepare it again"
        ) from error


def _collect(
    records: Iterator[list[dict[str, Any]]],
    number: int,
    what: str,
    image: str,
    label: str,
    resize: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill arrays `[number, H, W, C]` and `[number]` with what is in records."""
    labels = np.empty(number, np.int64)
    images = np.empty((number, 0, 0, 0), np.uint8)
    start = 0
    for batch in records:
        pictures = [record[image] for record in batch]
        if start == 0:
            height, width, channels = pictures[0].shape
            shape = (resize or height, resize or width, channels)
            _look_at_memory(number, shape, what)
            images = np.empty((number, *shape), np.uint8)
        end = start + len(batch)
        labels[start:end] = [record[label] for record in batch]
        _place(images[start:end], pictures, resize, start, what)
        start = end
    return images, labels


def _place(
    room: np.ndarray, pictures: list[np.ndarray], resize: int | None, start: int, what: str
) -> None:
    """Put images of one size, or of any where they are resized, into `room` `[n, H, W, C]`."""
    shapes = [picture.shape for picture in pictures]
    for index, shape in enumerate(shapes, start):
        if shape[2:] != room.shape[3:]:
            raise BadArgument(
                f"dataset: the images of {what} differ in channels: {room.shape[3]} at first, "
                f"{shape} at index {index}; allowed is one number of channels"
            )
        if resize is None and shape != room.shape[1:]:
            raise BadArgument(
                f"dataset: the images of {what} differ in size: {room.shape[1:]} at first, {shape} "
                f"at index {index}; allowed is one size, or resizing them: resize, --resize"
            )
    if resize is None:
        room[:] = pictures
    elif len(set(shapes)) == 1:
        room[:] = resize_images(np.stack(pictures), resize)
    else:
        for index, picture in enumerate(pictures):
            room[index] = resize_images(picture[None], resize)[0]


def _look_at_memory(number: int, shape: tuple[int, int, int], what: str) -> None:
    size = "x".join(map(str, shape))
    need_bytes(
        number * math.prod(shape),
        f"{what}, {number:,} images of {size},",
        _LESS,
    )
