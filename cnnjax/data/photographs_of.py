"""The images of a data set in the size that they have, for a network that prepares them itself."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnjax.data.collection import listed_files, sliced
from cnnjax.data.listing import natural
from cnnjax.data.load import load
from cnnjax.data.slices import Slice
from cnnjax.errors import BadArgument, unknown

__all__ = ["Photographs", "photographs_of"]


class Photographs(NamedTuple):
    """Images of any size.

    Attributes:
        photographs: N paths of files, or images `[H, W, C]` uint8.
        labels: `[N]` int32.
        class_names: one name per class, in the order of the labels.
        files: N names, as the folder or list has them; None where there are none.
    """

    photographs: Sequence[Any]
    labels: np.ndarray
    class_names: tuple[str, ...]
    files: Sequence[str] | None


def photographs_of(
    name: str, split: str, data_dir: str | os.PathLike[str] | None, channels: int
) -> Photographs:
    """Return the images of a split; no file is opened yet.

    Args:
        name: as for `load`.
        split: as for `load`.
        data_dir: as for `load`.
        channels: 1 or 3, that arrays get: grey ones are repeated.

    Raises:
        BadArgument: as `load`, and for arrays of other channels.
        Failed: as `load`.
    """
    found = listed_files(name)
    if found is None:
        dataset = load(name, split, data_dir)
        images = dataset.images
        if images.shape[-1] not in (1, channels):
            raise BadArgument(
                f"dataset: the images of {name!r} have {images.shape[-1]} channels; allowed: 1, "
                f"{channels}"
            )
        images = np.broadcast_to(images, (*images.shape[:3], channels))
        return Photographs(list(images), dataset.labels, dataset.class_names, None)
    rows, listing = found.listing.rows, found.listing
    base, part = Slice.split_from(sliced(split, found.part), "split")
    names = tuple(sorted({row.label for row in rows}, key=natural))
    mine = [row for row in rows if row.split == base]
    if not mine:
        raise unknown("split", base, {row.split for row in rows})
    labels = np.array([names.index(row.label) for row in mine], np.int32)
    chosen = np.arange(len(mine)) if part is None else part.indices(labels, len(names))
    if not len(chosen):
        raise BadArgument(f"split: {split!r} of {listing.name!r} is empty")
    files = [mine[index].file for index in chosen]
    return Photographs([listing.root / file for file in files], labels[chosen], names, files)
