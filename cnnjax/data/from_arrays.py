"""Images that are arrays already, as a data set."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnjax.data.arrays import labels_of, names_of_classes
from cnnjax.data.checks import digests_of, duplicates, listed, notes_on_classes
from cnnjax.data.dataset import Dataset
from cnnjax.data.listing import natural, spelled
from cnnjax.errors import BadArgument

__all__ = ["from_arrays"]


def from_arrays(
    images: Any,
    labels: Any,
    class_names: Sequence[str] | None = None,
    *,
    name: str = "arrays",
    split: str = "train",
) -> Dataset:
    """Make a data set of images and labels, and warn of what is odd about them.

    Args:
        images: `[N, H, W, C]` uint8, or other integers in 0..255.
        labels: `[N]`: integers in 0..K-1, or the names of the classes.
        class_names: K names, in the order of the integers; by default those that `labels` has, in
            natural order, or "0", "1", ... up to the largest label.
        name: what results call it.
        split: which part it is.

    Raises:
        BadArgument: for another shape, type or range, and for a name that is not in `class_names`.

    >>> import numpy as np
    >>> images = np.arange(96, dtype=np.uint8).reshape(4, 4, 2, 3)
    >>> from_arrays(images, ["cat", "dog", "dog", "cat"])
    Dataset('arrays', 'train': 4 of 4x2x3, 2)
    """
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise BadArgument(f"labels: expected [N] integers or names; {error}") from error
    if values.dtype.kind in "UO" and all(isinstance(each, str) for each in values.ravel()):
        names = [spelled(each) for each in values.ravel()]
        known = sorted(set(names), key=natural)
        if class_names is not None:
            known = list(names_of_classes(class_names, "class_names"))
        places = {each: index for index, each in enumerate(known)}
        unseen = [each for each in dict.fromkeys(names) if each not in places]
        if unseen:
            raise BadArgument(f"labels: {listed(unseen)}; allowed: {listed(known, 24)}")
        integers = np.array([places[each] for each in names], np.int32).reshape(values.shape)
        dataset = Dataset(name, split, images, integers, tuple(known))
    else:
        if class_names is None:
            number = int(values.max()) + 1 if values.dtype.kind in "iu" and values.size else 1
            labels_of(values, len(values) if values.ndim else 0, number, "labels")
            class_names = tuple(map(str, range(number)))
        dataset = Dataset(name, split, images, values, names_of_classes(class_names, "class_names"))
    for note in _notes(dataset):
        warnings.warn(f"{name}: {note}", stacklevel=2)
    return dataset


def _notes(dataset: Dataset) -> list[str]:
    notes = list(notes_on_classes(dataset.labels, dataset.class_names))
    pairs = duplicates(digests_of(dataset))
    torn = [pair for pair in pairs if dataset.labels[pair[0]] != dataset.labels[pair[1]]]
    if torn:
        named = listed(f"{one} = {other}" for one, other in torn)
        notes.append(f"{len(torn):,} images are in two classes, by their indices: {named}")
    return notes
