"""A labelled set of images in memory, its statistics, and cutting a validation set off it."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from typing import overload

import numpy as np

from cnnjax.data.arrays import labels_of, names_of_classes, pixels_of
from cnnjax.data.source import Source, Subset, blocks
from cnnjax.errors import BadArgument

__all__ = ["Dataset", "allocate", "split_off", "statistics"]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a classification dataset, whole, in a fixed order.

    The arrays are made read-only: a dataset never changes after construction.

    Attributes:
        name: the dataset's name, such as `"mnist5k"`.
        split: which part this is, such as `"train"`.
        images: `[N, H, W, C]` uint8, in 0..255; integers of another type become that.
        labels: `[N]` int32, in 0..len(class_names)-1; integers of another type become that.
        class_names: one name per class, in the order of the labels.

    Raises:
        BadArgument: if a shape or type is another, if there are no images, or if a value is
            outside its range; says what would do.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        where = f"{self.name!r}, split {self.split!r}"
        names = names_of_classes(self.class_names, f"class_names of {where}")
        images = pixels_of(self.images, f"images of {where}")
        labels = labels_of(self.labels, len(images), len(names), f"labels of {where}")
        for field, array in (("images", images), ("labels", labels)):
            frozen = array.view()
            frozen.flags.writeable = False
            object.__setattr__(self, field, frozen)
        object.__setattr__(self, "class_names", names)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name!r}, {self.split!r}: {len(self)} of {size}, {self.num_classes})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return self.images.shape[1:]

    def take(self, indices: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the images `[M, H, W, C]` uint8 at these indices `[M]`."""
        return self.images[np.asarray(indices)]

    @property
    def num_classes(self) -> int:
        """How many classes there are, whether or not each has an image."""
        return len(self.class_names)

    def subset(self, indices: np.ndarray | Sequence[int], split: str | None = None) -> "Dataset":
        """Return the images at these indices, in this order.

        Args:
            indices: `[M]` integers, as numpy indexes with them.
            split: what the result calls its split; by default what this one does.

        Raises:
            BadArgument: if there are no indices, or one is outside the dataset.
        """
        chosen = np.asarray(indices)
        if chosen.size == 0:
            raise BadArgument(f"indices: empty; {self.name!r} has {len(self)} images")
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise BadArgument(
                f"indices: expected integers [M], received {chosen.dtype} {list(chosen.shape)}"
            )
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            raise BadArgument(
                f"indices: {chosen.min()}..{chosen.max()} received, 0..{len(self) - 1} allowed"
            )
        return dataclasses.replace(
            self,
            split=self.split if split is None else split,
            images=self.images[chosen],
            labels=self.labels[chosen],
        )

    def fingerprint(self) -> str:
        """Return the SHA-256, in hexadecimal, of images, labels and class names.

        Equal fingerprints mean the same data in the same order, whatever machine prepared it.
        """
        digest = hashlib.sha256(repr((self.images.shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(self.labels.astype("<i4").tobytes())
        return digest.hexdigest()


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
def split_off(dataset: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset]: ...
@overload
def split_off(dataset: Source, fraction: float, seed: int) -> tuple[Source, Source]: ...
def split_off(dataset: Source, fraction: float, seed: int) -> tuple[Source, Source]:
    """Cut a validation set off a training set: stratified, disjoint, the same for the same seed.

    Args:
        dataset: what to cut; usually the `"train"` split.
        fraction: the share that becomes the validation set, in (0, 1).
        seed: a non-negative integer.

    Returns:
        The rest, still called by its split, and `round(fraction * N)` images called
        `"validation"`. Every class is represented in proportion. Both keep the dataset's order. Of
        a source that is not a `Dataset`: two `Subset`s.

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
    if isinstance(dataset, Dataset):
        return dataset.subset(rest), dataset.subset(held_out, split="validation")
    return Subset(dataset, rest), Subset(dataset, held_out)


def _stratified(labels: np.ndarray, classes: int, total: int, seed: int) -> np.ndarray:
    """Return `[N]` bool, `total` of them True, drawn from each class in proportion."""
    takes = allocate(np.bincount(labels, minlength=classes), total)
    # numpy promises that raw bits stay the same for ever; of its permutations it does not.
    draws = np.random.PCG64(seed).random_raw(len(labels))
    chosen = np.zeros(len(labels), bool)
    for label, take in enumerate(takes):
        members = np.flatnonzero(labels == label)
        chosen[members[np.argsort(draws[members], kind="stable")[:take]]] = True
    return chosen


def statistics(dataset: Source) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, of the pixels divided by 255.

    Both are exact up to the last rounding. A constant channel has standard deviation 1, so that
    dividing by it is harmless.

    Returns:
        `(mean [C], std [C])` float32, in units of the full range.
    """
    values = np.arange(256, dtype=np.int64)
    histograms = np.zeros((dataset.image_shape[-1], 256), np.int64)
    for block in blocks(dataset):  # bincount widens its argument eightfold
        for channel, histogram in enumerate(histograms):
            histogram += np.bincount(block[..., channel].ravel(), minlength=256)
    mean, std = [], []
    for histogram in histograms:
        count = int(histogram.sum())
        total, squares = int(histogram @ values), int(histogram @ values**2)
        variance = (count * squares - total**2) / count**2
        mean.append(total / count / 255)
        std.append(math.sqrt(variance) / 255 or 1.0)
    return np.array(mean, np.float32), np.array(std, np.float32)
