"""Which features of a TFDS dataset are its image and its class label."""

from typing import Any

import numpy as np

from cnnjax.data.library import import_tfds
from cnnjax.errors import BadArgument

__all__ = ["find_features"]


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
