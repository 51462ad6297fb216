"""What datasets there are, and what is in one."""

import dataclasses
import itertools
import os
from typing import Any

import numpy as np

from cnnjax.data.builder import embedded_builder, open_builder
from cnnjax.data.checks import digests_of, shared
from cnnjax.data.collection import open_collection
from cnnjax.data.dataset import Dataset, statistics
from cnnjax.data.decoded import SeveralSizes
from cnnjax.data.directory import existing_directory, list_datasets, list_prepared
from cnnjax.data.features import find_features
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.library import import_tfds, silence
from cnnjax.data.resizing import Resize
from cnnjax.errors import BadArgument, Failed

__all__ = ["Examined", "catalogue", "describe", "examine"]

_SHOWN = Resize(224)
"""What images of several sizes are looked at as, where nobody says it."""

_EXAMPLES = 3


def catalogue(data_dir: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """Return a line on each embedded dataset and each prepared one; prepares none.

    Args:
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.

    Returns:
        For each, sorted by name: `name`, `prepared` (bool), `splits` (name to number of images),
        `shape` ([H, W, C], None where it varies), `classes` (a number) and `version`. Datasets
        that are not of classified images are left out.
    """
    root = existing_directory(data_dir)
    prepared = list_prepared(root)
    import_tfds()
    rows = []
    with silence():
        for name in sorted({*list_datasets(), *prepared}):
            try:
                own = embedded_builder(name, root)
                builder = own or open_builder(name, root)
                image, _, class_names = find_features(builder)
            except (BadArgument, Failed):  # not images, or nothing that TFDS can make sense of
                continue
            splits = {key: int(split.num_examples) for key, split in builder.info.splits.items()}
            rows.append(
                {
                    "name": name,
                    "prepared": builder.is_prepared(),
                    "splits": splits or dict(own.SIZES if own else {}),
                    "shape": list(builder.info.features[image].shape),
                    "classes": len(class_names),
                    "version": str(builder.info.version),
                }
            )
    return rows


@dataclasses.dataclass(frozen=True, eq=False)
class Examined:
    """What `examine` found.

    Attributes:
        about: what `describe` returns.
        sets: the splits by name.
    """

    about: dict[str, Any]
    sets: dict[str, Dataset | ImageFiles]


def describe(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    resize: int | str | Resize | None = None,
) -> dict[str, Any]:
    """Return what is in a data set, prepared first if it is not.

    Args:
        name: as for `load`, without a slice.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        resize: as for `load`; files of several sizes that are not resized are described as squares
            of 224 pixels.

    Returns:
        `name`, `version`, `directory`, `description`, `homepage`, `citation`, `class_names`,
        `shape` ([H, W, C]); `splits`: for each that is not empty the number of `images`, those of
        each class (`per_class`), `mean` and `std` of each channel in 0..1, the `fingerprint` of
        images and labels, and of files `sizes`, the number of `different` ones and the `smallest`,
        the `median` and the `largest` ([H, W], by area); `shared`: for each pair of `splits` that
        have images in common how many (`images`) and the indices of the first `examples`;
        `left_out`: path to reason; and `notes`, a sentence on each thing that is odd.

    Raises:
        BadArgument: as `load`.
        Failed: as `load`.
    """
    return examine(name, data_dir, resize=resize).about


def examine(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    resize: int | str | Resize | None = None,
) -> Examined:
    """Return what `describe` does, with the data that it speaks of; arguments and errors as its."""
    notes = []
    try:
        collection, part = open_collection(name, data_dir, Resize.of(resize))
    except SeveralSizes as error:
        collection, part = open_collection(name, data_dir, _SHOWN)
        notes.append(
            f"images have {error.number} sizes: these are figures of {_SHOWN.pixels}x"
            f"{_SHOWN.pixels} pixels, the middle of each"
        )
    if part is not None:
        raise BadArgument(f"dataset: received a slice, {part}; allowed: a whole data set")
    sets = {split: collection.read(split) for split in collection.splits}
    if not sets:
        raise BadArgument(f"dataset: {name!r} has no images in any split")
    first = next(iter(sets.values()))
    left_out = first.left_out if isinstance(first, ImageFiles) else {}
    notes += first.notes if isinstance(first, ImageFiles) else ()
    about = {
        "name": name,
        **collection.about(),
        "class_names": list(first.class_names),
        "shape": list(first.image_shape),
        "splits": {split: _describe_split(found) for split, found in sets.items()},
        "shared": _shared(sets),
        "left_out": dict(left_out),
        "notes": notes,
    }
    return Examined(about, sets)


def _describe_split(dataset: Dataset | ImageFiles) -> dict[str, Any]:
    mean, std = statistics(dataset)
    return {
        "images": len(dataset),
        "per_class": np.bincount(dataset.labels, minlength=dataset.num_classes).tolist(),
        "mean": [round(float(value), 6) for value in mean],
        "std": [round(float(value), 6) for value in std],
        "fingerprint": dataset.fingerprint(),
        **({"sizes": _sizes(dataset.sizes)} if isinstance(dataset, ImageFiles) else {}),
    }


def _sizes(sizes: np.ndarray) -> dict[str, Any]:
    """Return how large images are, from their heights and widths `[N, 2]`."""
    by_area = sizes[np.lexsort((sizes[:, 0], sizes.astype(np.int64).prod(1)))].tolist()
    return {
        "different": len(np.unique(sizes, axis=0)),
        "smallest": by_area[0],
        "median": by_area[(len(by_area) - 1) // 2],
        "largest": by_area[-1],
    }


def _shared(sets: dict[str, Dataset | ImageFiles]) -> list[dict[str, Any]]:
    """Return which splits have images in common."""
    digests = {split: digests_of(found) for split, found in sets.items()}
    found = []
    for one, other in itertools.combinations(sets, 2):
        pairs = shared(digests[one], digests[other])
        if pairs:
            examples = [list(pair) for pair in pairs[:_EXAMPLES]]
            found.append({"splits": [one, other], "images": len(pairs), "examples": examples})
    return found
