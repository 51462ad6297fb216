"""What TFDS has prepared: its splits, read into memory."""

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.features import find_features
from cnnjax.data.library import import_tfds, reason, silence
from cnnjax.data.prepare import prepare
from cnnjax.data.resizing import Resize, resize_images
from cnnjax.data.slices import Slice
from cnnjax.errors import BadArgument, Failed, missing_extra, unknown
from cnnjax.runtime import need_bytes

__all__ = ["Prepared", "read_split"]

_AT_ONCE = 1024
"""Records that come from the file together."""

_LESS = "take a slice such as 'train[:1000]', or resize it to fewer pixels"


class Prepared:
    """A `Collection` that TFDS has prepared; prepared now where it is not.

    Attributes:
        builder: TFDS's.
    """

    def __init__(
        self, name: str, data_dir: str | os.PathLike[str] | None, resize: Resize | None
    ) -> None:
        self.builder = prepare(name, data_dir)
        self._name = name
        self._resize = resize

    @property
    def name(self) -> str:
        """With config and version."""
        return str(self.builder.info.full_name)

    @property
    def splits(self) -> dict[str, int]:
        """How many records each split has; those that are empty left out."""
        with silence():
            found = self.builder.info.splits.items()
            return {key: number for key, split in found if (number := int(split.num_examples))}

    def read(self, split: str) -> Dataset:
        """Return a split, or a slice as TFDS or `Slice` writes it, whole in memory."""
        if "stratified" not in split:
            return read_split(self.builder, self._name, split, self._resize)
        base, part = Slice.split_from(split, "split")
        whole = read_split(self.builder, self._name, base, self._resize)
        assert part is not None  # there are brackets around the word, or it is no slice
        indices = part.indices(whole.labels, whole.num_classes)
        if not len(indices):
            raise BadArgument(f"split: {split!r} of {self._name!r} is empty")
        return whole.subset(indices, split)

    def shared(self, one: str, other: str) -> int:
        """Return how many records two splits have in common; of a stratified slice, the whole's."""
        return sum(
            max(0, min(mine[2], its[2]) - max(mine[1], its[1]))
            for mine in _ranges(self.builder, one)
            for its in _ranges(self.builder, other)
            if mine[0] == its[0]
        )

    def about(self) -> dict[str, str]:
        """Return what TFDS knows of it."""
        with silence():
            info = self.builder.info
            return {
                "version": str(info.version),
                "directory": str(self.builder.data_path),
                "description": " ".join(info.description.split()),
                "homepage": info.homepage,
                "citation": info.citation.strip(),
            }


def _ranges(builder: Any, split: str) -> list[tuple[str, int, int]]:
    """Name, first record and the one behind the last of each part of a split."""
    splits = builder.info.splits
    with silence():
        try:
            if "stratified" in split:
                split, _ = Slice.split_from(split, "split")
            parts = import_tfds().core.ReadInstruction.from_spec(split).to_absolute(splits)
        except Exception:  # read_split says what is wrong with it
            return []
    return [
        (
            part.splitname,
            part.from_ or 0,
            splits[part.splitname].num_examples if part.to is None else part.to,
        )
        for part in parts
    ]


def read_split(builder: Any, name: str, split: str, resize: Resize | None = None) -> Dataset:
    """Return a split of a builder that `prepare` gave for this name; errors as of `load`."""
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
    resize: Resize | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill arrays `[number, H, W, C]` and `[number]` with what is in records."""
    labels = np.empty(number, np.int64)
    images = np.empty((number, 0, 0, 0), np.uint8)
    start = 0
    for batch in records:
        pictures = [record[image] for record in batch]
        if start == 0:
            height, width, channels = pictures[0].shape
            side = None if resize is None else resize.pixels
            shape = (side or height, side or width, channels)
            _look_at_memory(number, shape, what)
            images = np.empty((number, *shape), np.uint8)
        end = start + len(batch)
        labels[start:end] = [record[label] for record in batch]
        _place(images[start:end], pictures, resize, start, what)
        start = end
    return images, labels


def _place(
    room: np.ndarray, pictures: list[np.ndarray], resize: Resize | None, start: int, what: str
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
        room[:] = _resized(np.stack(pictures), resize)
    else:
        for index, picture in enumerate(pictures):
            room[index] = _resized(picture[None], resize)[0]


def _resized(images: np.ndarray, how: Resize) -> np.ndarray:
    return resize_images(images, how.pixels, how.interpolation, how.mode)


def _look_at_memory(number: int, shape: tuple[int, int, int], what: str) -> None:
    size = "x".join(map(str, shape))
    need_bytes(
        number * math.prod(shape),
        f"{what}, {number:,} images of {size},",
        _LESS,
    )
