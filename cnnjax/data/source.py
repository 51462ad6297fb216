"""`Source`: whatever gives labelled images by index, in memory or not."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from cnnjax.errors import BadArgument

__all__ = ["Source", "Subset", "blocks"]

_BLOCK = 4096  # images; 2.5 GB of 224x224 photographs, 13 MB of digits


@runtime_checkable
class Source(Protocol):
    """A labelled set of images of one shape, in a fixed order.

    Training, evaluation and analysis take one; `Dataset` is one that is held in memory.

    Attributes:
        name: what results call it.
        labels: `[N]` int32, in 0..len(class_names)-1.
        class_names: one name per class, in the order of the labels.
        image_shape: `(H, W, C)` of every image.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def image_shape(self) -> tuple[int, int, int]: ...  # noqa: D102

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the images `[M, H, W, C]` uint8 at `indices` `[M]`, each in 0..N-1.

        It may be called from a thread of its own while a step runs.
        """

    def fingerprint(self) -> str:
        """Return a text that two sources share only if they give the same images and labels."""


@dataclasses.dataclass(frozen=True, eq=False)
class Subset:
    """Some images of a source, as a source.

    Attributes:
        source: what they are of.
        indices: `[M]` integers in 0..N-1, in the order that the subset has.

    Raises:
        BadArgument: for no indices, or some outside of the source.
    """

    source: Source
    indices: np.ndarray

    def __post_init__(self) -> None:
        chosen = np.asarray(self.indices)
        whole = chosen.ndim == 1 and chosen.size and np.issubdtype(chosen.dtype, np.integer)
        if not whole or chosen.min() < 0 or chosen.max() >= len(self.source):
            raise BadArgument(
                f"indices: received {chosen.dtype}{list(chosen.shape)}, allowed: one or more "
                f"integers in 0..{len(self.source) - 1}"
            )
        frozen = chosen.astype(np.int64)
        frozen.flags.writeable = False
        object.__setattr__(self, "indices", frozen)

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def labels(self) -> np.ndarray:
        """`[M]` int32."""
        return np.asarray(self.source.labels)[self.indices]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The source's, those without an image in the subset too."""
        return self.source.class_names

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return self.source.image_shape

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the images `[M, H, W, C]` uint8 at indices into the subset."""
        return self.source.take(self.indices[np.asarray(indices)])

    def fingerprint(self) -> str:
        """Return the SHA-256 of the source's fingerprint and the indices."""
        digest = hashlib.sha256(self.source.fingerprint().encode())
        digest.update(self.indices.astype("<i8").tobytes())
        return digest.hexdigest()


def blocks(source: Source, size: int = _BLOCK) -> Iterator[np.ndarray]:
    """Yield all images of a source in order, `[up to size, H, W, C]` uint8 at a time."""
    for start in range(0, len(source), size):
        yield source.take(np.arange(start, min(start + size, len(source))))
