"""Parts of a labelled set in which every class has its share."""

import math
from typing import Any, TypeVar, overload

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.source import Source, Subset
from cnnjax.errors import BadArgument

__all__ = ["allocate", "split_off", "stratified_order"]

Whole = TypeVar("Whole", bound=Dataset | ImageFiles)


def allocate(counts: np.ndarray, total: int) -> np.ndarray:
    """Share out `total` over classes in proportion to their counts, by largest remainders.

    Args:
        counts: `[classes]` integers, the images of each class.
        total: how many to take, in 0..counts.sum().

    Returns:
        `[classes]` int64 that sum to `total`, none above its count. Ties go to the lower class.

    >>> allocate(np.array([5, 3, 2]), 5).tolist()
    [3, 1, 1]
    """
    whole = int(counts.sum())
    shares = counts.astype(np.int64) * total
    taken = shares // whole
    missing = total - int(taken.sum())
    # Integers all the way: a remainder in floating point could tip a tie either way.
    taken[np.argsort(-(shares % whole), kind="stable")[:missing]] += 1
    return taken


@overload
def split_off(dataset: Whole, fraction: float, seed: int) -> tuple[Whole, Whole]: ...
@overload
def split_off(dataset: Source, fraction: float, seed: int) -> tuple[Source, Source]: ...
def split_off(dataset: Any, fraction: float, seed: int) -> tuple[Any, Any]:
    """Cut a validation set off a training set: stratified, disjoint, the same for the same seed.

    Args:
        dataset: what to cut; usually the `"train"` split.
        fraction: the share that becomes the validation set, in (0, 1).
        seed: a non-negative integer.

    Returns:
        The rest, still called by its split, and `round(fraction * N)` images called
        `"validation"`. Every class is represented in proportion. Both keep the dataset's order. Of
        another kind of source: two `Subset`s.

    Raises:
        BadArgument: for a fraction that leaves either part empty, or a negative seed.
    """
    if not (isinstance(fraction, int | float) and 0 < fraction < 1):
        raise BadArgument(f"fraction: received {fraction!r}, allowed are numbers in (0, 1)")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadArgument(f"seed: received {seed!r}, allowed are integers from 0")
    total = math.floor(fraction * len(dataset) + 0.5)
    if not 0 < total < len(dataset):
        raise BadArgument(
            f"fraction: {fraction} of {len(dataset)} images leaves {total} to validate "
            f"and {len(dataset) - total} to train; both must be positive"
        )
    chosen = _stratified(dataset.labels, len(dataset.class_names), total, seed)
    rest, held_out = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    if isinstance(dataset, Dataset | ImageFiles):
        return dataset.subset(rest), dataset.subset(held_out, split="validation")
    return Subset(dataset, rest), Subset(dataset, held_out)


def _stratified(labels: np.ndarray, classes: int, total: int, seed: int) -> np.ndarray:
    """Return `[N]` bool, `total` of them True, drawn from each class in proportion."""
    takes = allocate(np.bincount(labels, minlength=classes), total)
    draws = _draws(len(labels), seed)
    chosen = np.zeros(len(labels), bool)
    for label, take in enumerate(takes):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(draws[members], kind="stable")[:take]]] = True
    return chosen


def stratified_order(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Return an order of images whose every beginning has each class in proportion.

    The k-th of the n images of a class, in a random order of them, comes at the place
    (k - 1/2) / n of the whole: no class is ever ahead of its share by more than one image.

    Args:
        labels: `[N]` integers in 0..classes-1.
        classes: how many there are.
        seed: an integer from 0.

    Returns:
        `[N]` int64, a permutation; the same on every machine.
    """
    draws = _draws(len(labels), seed)
    places = np.empty(len(labels))
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(draws[members], kind="stable")]
        places[members] = (np.arange(len(members)) + 0.5) / max(1, len(members))
    return np.lexsort((draws, places))


def _draws(number: int, seed: int) -> np.ndarray:
    """Return random numbers, `[number]` uint64, the same for the same seed on every machine.

    numpy promises that raw bits stay the same for ever; of its permutations it does not.
    """
    return np.random.PCG64(seed).random_raw(number)
