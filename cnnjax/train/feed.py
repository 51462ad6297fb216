"""`Feed`: the batches of a source in the order of an epoch, from the device or streamed to it.

Both kinds give a step the same batches, to the bit. Resident is the faster where the source fits:
nothing crosses from the host in an epoch, each step gathers its batch itself.
"""

import concurrent.futures
import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh

from cnnjax.data import Dataset, Source
from cnnjax.data.source import blocks
from cnnjax.errors import BadArgument
from cnnjax.runtime.memory import available_bytes
from cnnjax.train.placement import batch_sharding, replicated
from cnnjax.typing import Array

__all__ = ["Feed", "Resident", "Streamed", "feed_of"]

# A source that is not in memory yet is held there up to this share of what is left.
_SHARE = 0.5

# Batches that are read ahead of the step.
_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class Resident:
    """A source that lies on the device whole.

    Attributes:
        images: `[N, H, W, C]` uint8.
        labels: `[N]` int32.
    """

    images: Array
    labels: Array

    def epoch(self, order: Array, batch_size: int, first: int) -> Iterator[tuple[Any, ...]]:
        """Yield, without end, what a chunk of steps takes besides its state, key and count.

        Args:
            order: `[N]`, or `[runs, N]` with several runs at once: the images of the epoch.
            batch_size: images of a run a step.
            first: the step of the epoch to begin with, from 0; this feed is told by the state.
        """
        while True:
            yield self.images, self.labels, order


@dataclasses.dataclass(frozen=True)
class Streamed:
    """A source whose batches are read and sent while the steps before them run.

    Attributes:
        source: what is read.
        mesh: over whose devices a batch is split.
    """

    source: Source
    mesh: Mesh

    def epoch(self, order: Array, batch_size: int, first: int) -> Iterator[tuple[Any, ...]]:
        """Yield images `[1, B, ...]`, labels and places `[1, B]` of each step that is left.

        Arguments as of `Resident.epoch`; with several runs there is an axis of runs before `B`.
        """
        places, labels = np.asarray(order), np.asarray(self.source.labels)
        sharding = batch_sharding(self.mesh, axis=places.ndim)

        def read(start: int) -> tuple[Array, Array, Array]:
            chosen = places[..., start : start + batch_size]
            images = self.source.take(chosen.ravel())
            shaped = images.reshape(1, *chosen.shape, *images.shape[1:])
            batch = shaped, labels[chosen][None], chosen[None]
            return jax.device_put(batch, sharding)

        starts = range(first * batch_size, places.shape[-1] // batch_size * batch_size, batch_size)
        with concurrent.futures.ThreadPoolExecutor(1, "cnnjax-feed") as reader:
            waiting = [reader.submit(read, start) for start in starts[:_AHEAD]]
            for number in range(len(starts)):
                batch = waiting.pop(0).result()
                if number + _AHEAD < len(starts):
                    waiting.append(reader.submit(read, starts[number + _AHEAD]))
                yield batch


Feed: TypeAlias = Resident | Streamed


def feed_of(source: Source, mesh: Mesh, stream: bool | None) -> Feed:
    """Return the feed of a source.

    Args:
        source: whose images.
        mesh: where they go.
        stream: whether to stream them; None does with a source that is no `Dataset` and would take
            more than half of the memory that is left.
    """
    size = len(source) * int(np.prod(source.image_shape))
    if stream is None:
        there = available_bytes()
        held = isinstance(source, Dataset)
        stream = not held and there is not None and size > _SHARE * there
    if stream:
        return Streamed(source, mesh)
    images = source.images if isinstance(source, Dataset) else _all_images(source)
    labels = np.asarray(source.labels, np.int32)
    return Resident(*jax.device_put((images, labels), replicated(mesh)))


def _all_images(source: Source) -> np.ndarray:
    images = np.empty((len(source), *source.image_shape), np.uint8)
    start = 0
    for block in blocks(source):
        if block.dtype != np.uint8 or block.shape[1:] != images.shape[1:]:
            raise BadArgument(
                f"train_set: {source.name!r} gives images {block.dtype}{list(block.shape[1:])}; "
                f"allowed: uint8{list(images.shape[1:])}, its image_shape"
            )
        images[start : start + len(block)] = block
        start += len(block)
    return images
