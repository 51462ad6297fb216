"""Reading one split of a TFDS dataset into memory."""

import os
from typing import Any

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.prepare import import_tfds, prepare, silence
from cnnjax.errors import BadArgument, Failed, missing_extra, unknown

__all__ = ["find_features", "load"]


def load(
    name: str, split: str = "train", data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read one split of a dataset into memory, in the order of its records.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows.
        split: `"train"`, `"test"`, what else the dataset has, or a slice as TFDS writes it, such
            as `"train[:1000]"` or `"train[90%:]"`.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.

    Returns:
        Images `[N, H, W, C]` uint8, labels `[N]` int32 and the names of the classes.

    Raises:
        BadArgument: for an unknown dataset or split, an empty split, a dataset without an image
            or a class label, images of several sizes, or a label outside the classes.
        Failed: if the dataset cannot be prepared or read; says how to repair that.
    """
    builder = prepare(name, data_dir)
    with silence():
        image, label, class_names = find_features(builder)
        number = _count(builder, name, split)
        images, labels = _read(builder, name, split, number, image, label)
    return Dataset(name, split, images, labels, class_names)


def find_features(builder: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return the keys of a TFDS dataset's image and class label, and the names of its classes.

    Raises:
        BadArgument: if it has no image or no class label, or if its images are not uint8.
    """
    kinds = import_tfds().features
    name, features = builder.info.full_name, builder.info.features
    flat = dict(features.items()) if isinstance(features, kinds.FeaturesDict) else {}
    supervised = [key for key in builder.info.supervised_keys or () if isinstance(key, str)]

    def find(kind: Any, usual: str, what: str) -> str:
        keys = [key for key, feature in flat.items() if isinstance(feature, kind)]
        for key in (*supervised, usual, *keys):
            if key in keys:
                return key
        shown = ", ".join(f"{key}: {type(feature).__name__}" for key, feature in flat.items())
        raise BadArgument(
            f"dataset: {name!r} has no {what}; allowed are datasets with one image and one class "
            f"label a record (this one has {shown or features})"
        )

    image = find(kinds.Image, "image", "image")
    label = find(kinds.ClassLabel, "label", "class label")
    if flat[image].np_dtype != np.uint8:
        raise BadArgument(
            f"dataset: the images of {name!r} are {np.dtype(flat[image].np_dtype)}; "
            "allowed is uint8"
        )
    return image, label, tuple(flat[label].names or ())


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


def _read(
    builder: Any, name: str, split: str, number: int, image: str, label: str
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.empty(number, np.int32)
    images = np.empty((number, 0, 0, 0), np.uint8)
    try:
        source = builder.as_data_source(split)
        for start in range(0, number, 1024):  # records come from the file in batches
            batch = source.__getitems__(list(range(start, min(start + 1024, number))))
            for index, record in enumerate(batch, start):
                pixels = record[image]
                if index == 0:
                    images = np.empty((number, *pixels.shape), np.uint8)
                elif pixels.shape != images.shape[1:]:
                    raise BadArgument(
                        f"dataset: the images of {name!r} differ in size: {images.shape[1:]} at "
                        f"index 0 of {split!r}, {pixels.shape} at index {index}; allowed is one "
                        "size: prepare a copy of it with resized images"
                    )
                images[index] = pixels
                labels[index] = record[label]
    except BadArgument:
        raise
    except NotImplementedError as error:
        raise Failed(
            f"{name!r} is in {builder.data_path} in the format {builder.info.file_format.value}, "
            "which only TensorFlow reads; prepare it in another directory with "
            "download_and_prepare(file_format='array_record')"
        ) from error
    except ImportError as error:
        raise missing_extra(error.name or "pillow", "data") from error
    except MemoryError as error:
        raise Failed(
            f"{split!r} of {name!r}, {number} images of {images.shape[1:]}, does not fit into "
            "memory; take a slice such as 'train[:1000]'"
        ) from error
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Failed(
            f"{split!r} of {name!r} in {builder.data_path} cannot be read: {reason}; delete that "
            "directory and prepare it again"
        ) from error
    return images, labels
