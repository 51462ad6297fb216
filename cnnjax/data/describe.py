"""What datasets there are, and what is in one."""

import os
from typing import Any

import numpy as np

from cnnjax.data.builder import embedded_builder, open_builder
from cnnjax.data.dataset import Dataset, statistics
from cnnjax.data.directory import existing_directory, list_datasets, list_prepared
from cnnjax.data.features import find_features
from cnnjax.data.library import import_tfds, silence
from cnnjax.data.prepare import prepare
from cnnjax.data.prepared import read_split
from cnnjax.errors import BadArgument, Failed

__all__ = ["catalogue", "describe"]


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


def describe(name: str, data_dir: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return what is in a dataset, prepared first if it is not.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.

    Returns:
        `name`, `version`, `directory`, `description`, `homepage`, `citation`, `class_names`,
        `shape` ([H, W, C]) and `splits`: for each split that is not empty the number of `images`,
        those of each class (`per_class`), `mean` and `std` of each channel in 0..1, and the
        `fingerprint` of images and labels.

    Raises:
        BadArgument: as `load`.
        Failed: as `load`.
    """
    builder = prepare(name, data_dir)
    with silence():
        info = builder.info
        sizes = {key: int(split.num_examples) for key, split in info.splits.items()}
    datasets = {key: read_split(builder, name, key) for key, size in sizes.items() if size}
    if not datasets:
        raise BadArgument(f"dataset: {name!r} has no images in any split")
    first = next(iter(datasets.values()))
    return {
        "name": name,
        "version": str(info.version),
        "directory": str(builder.data_path),
        "description": " ".join(info.description.split()),
        "homepage": info.homepage,
        "citation": info.citation.strip(),
        "class_names": list(first.class_names),
        "shape": list(first.images.shape[1:]),
        "splits": {key: _describe_split(dataset) for key, dataset in datasets.items()},
    }


def _describe_split(dataset: Dataset) -> dict[str, Any]:
    mean, std = statistics(dataset)
    return {
        "images": len(dataset),
        "per_class": np.bincount(dataset.labels, minlength=dataset.num_classes).tolist(),
        "mean": [round(float(value), 6) for value in mean],
        "std": [round(float(value), 6) for value in std],
        "fingerprint": dataset.fingerprint(),
    }
