"""A labelled set of images in memory, and the statistics of any."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np

from cnnjax.data.arrays import labels_of, names_of_classes, pixels_of, rows_of
from cnnjax.data.source import Source, blocks

__all__ = ["Dataset", "statistics"]


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
        chosen = rows_of(indices, len(self), self.name)
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
