"""`ImageFiles`: a split of a folder or a list, a `Source` whose images keep the files' names."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np

from cnnjax.data.arrays import rows_of
from cnnjax.data.decoded import Decoded

__all__ = ["ImageFiles"]


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """Labelled images out of files, in a fixed order.

    The pixels lie in a file that is mapped into memory: only what is looked at takes memory, and
    training holds or streams them as they fit. `load`, `from_folder` and `from_list` make one.

    Attributes:
        name: such as `"folder:flowers"`.
        split: which part this is, such as `"train"`.
        decoded: the pixels of all splits.
        rows: `[N]` int64, which of `decoded` these are.
        labels: `[N]` int32, in 0..len(class_names)-1.
        class_names: one name per class, in natural order.
        left_out: the files, of all splits, that are no images of a class: path to reason.
        notes: what else is odd about the files, a sentence each.
    """

    name: str
    split: str
    decoded: Decoded
    rows: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.image_shape))
        return (
            f"ImageFiles({self.name!r}, {self.split!r}: {len(self)} of {size}, {self.num_classes})"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        height, width, channels = self.decoded.pixels.shape[1:]
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """How many classes there are, whether or not each has an image."""
        return len(self.class_names)

    @property
    def files(self) -> tuple[str, ...]:
        """The file of each image, as the folder or the list has it."""
        return tuple(self.decoded.files[row] for row in self.rows)

    @property
    def sizes(self) -> np.ndarray:
        """`[N, 2]` int32: height and width in pixels of each image in its file."""
        return self.decoded.sizes[self.rows]

    @property
    def digests(self) -> np.ndarray:
        """`[N, 16]` uint8, a hash of each image's pixels."""
        return self.decoded.digests[self.rows]

    @property
    def images(self) -> np.ndarray:
        """All images, `[N, H, W, C]` uint8, read into memory now."""
        return self.decoded.pixels[self.rows]

    def take(self, indices: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the images `[M, H, W, C]` uint8 at these indices `[M]`."""
        return self.decoded.pixels[self.rows[np.asarray(indices)]]

    def subset(self, indices: np.ndarray | Sequence[int], split: str | None = None) -> "ImageFiles":
        """Return the images at these indices, in this order; arguments as of `Dataset.subset`."""
        chosen = rows_of(indices, len(self), self.name)
        return dataclasses.replace(
            self,
            split=self.split if split is None else split,
            rows=self.rows[chosen],
            labels=self.labels[chosen],
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of shape, class names, the images' hashes and labels."""
        digest = hashlib.sha256(repr((self.image_shape, self.class_names)).encode())
        digest.update(np.ascontiguousarray(self.digests).data)
        digest.update(self.labels.astype("<i4").tobytes())
        return digest.hexdigest()
