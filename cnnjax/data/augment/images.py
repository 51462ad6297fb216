"""Stored images as networks take them, and the check that every augmentation makes."""

import dataclasses
from typing import Protocol

import jax.numpy as jnp

from cnnjax.errors import BadArgument
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["Augmentation", "Normalize", "check_images", "normalize"]


class Augmentation(Protocol):
    """What changes a batch before the network sees it; a pure function of its arguments."""

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return another batch of the same shape.

        Args:
            key: of this step and this place in the chain.
            images: `[B, H, W, C]`, uint8 or floating point in 0..255; after `Normalize` float32.
            targets: `[B, K]` float32, each row summing to 1.

        Returns:
            Images and targets of the same shapes, in the same ranges.
        """


@dataclasses.dataclass(frozen=True)
class Normalize:
    """The place in a chain of augmentations where images are normalized.

    What stands before it has pixels in 0..255 and what stands after it has them centered. A chain
    without it ends with it.
    """


def normalize(images: Images, mean: Array, std: Array) -> Images:
    """Return `(images / 255 - mean) / std`.

    Args:
        images: `[B, H, W, C]` uint8, or floating point in 0..255.
        mean: `[C]`, in 0..1, as `cnnjax.data.statistics` returns it.
        std: `[C]`, above 0, on the same scale.

    Returns:
        `[B, H, W, C]` float32.

    Raises:
        BadArgument: for images of another rank, or statistics of another number of channels.
    """
    mean, std = _per_channel(images, "mean", mean), _per_channel(images, "std", std)
    return (images.astype(jnp.float32) - 255 * mean) * (1 / (255 * std))


def check_images(images: Images) -> None:
    """Raise `BadArgument` unless images have four axes."""
    if images.ndim != 4:
        raise BadArgument(f"images: expected [B, H, W, C], received {list(images.shape)}")


def _per_channel(images: Images, argument: str, value: Array) -> Array:
    check_images(images)
    channels = images.shape[-1]
    array = jnp.asarray(value, jnp.float32)
    if array.shape != (channels,):
        raise BadArgument(
            f"{argument}: expected one number for each of {channels} channels, "
            f"received shape {list(array.shape)}"
        )
    return array.reshape(1, 1, 1, channels)
