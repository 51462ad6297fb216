"""Stored images as networks take them, and the checks that augmentations make."""

import dataclasses
import inspect
import math
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp

from cnnjax.errors import BadArgument
from cnnjax.typing import Array, Images, Key, Targets

__all__ = [
    "Augmentation",
    "Moment",
    "Normalize",
    "as_dtype",
    "check_colors",
    "check_images",
    "check_interval",
    "check_share",
    "normalize",
    "takes_moment",
]


class Augmentation(Protocol):
    """What changes a batch before the network sees it; a pure function of its arguments.

    One with a fourth argument named `moment` is also given a `Moment`.
    """

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return another batch of the same shape.

        Args:
            key: of this step and this place in the chain.
            images: `[B, H, W, C]`, uint8 or floating point in 0..255; after `Normalize` float32.
            targets: `[B, K]` float32, each row summing to 1.

        Returns:
            Images and targets of the same shapes, in the same ranges.
        """


class Moment(NamedTuple):
    """When in a run a batch is made, and of which images, for what does not start anew each step.

    Attributes:
        epoch: int32, from 0.
        indices: `[B]` int32, the images' places in the training set.
        key: of this run and this place in the chain, the same at every step.
    """

    epoch: Array
    indices: Array
    key: Key


def takes_moment(augmentation: Any) -> bool:
    """Return whether an augmentation has an argument named `moment`."""
    try:
        return "moment" in inspect.signature(augmentation).parameters
    except (TypeError, ValueError):  # something built in, which has no signature
        return False


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


def check_colors(images: Images) -> None:
    """Raise `BadArgument` unless images are `[B, H, W, C]`, gray or of three colors."""
    check_images(images)
    if images.shape[-1] not in (1, 3):
        raise BadArgument(
            f"images: received {images.shape[-1]} channels, allowed: 1 (gray) or 3 (red, green, "
            "blue)"
        )


def check_interval(name: str, value: Any, least: float, most: float) -> None:
    """Raise `BadArgument` unless a value is a pair of numbers, `least <= low <= high <= most`."""
    pair = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    if not (pair and least <= value[0] <= value[1] <= most):
        raise BadArgument(
            f"{name}: received {value!r}, allowed: a tuple of two numbers, the lower first, in "
            f"[{least:g}, {most:g}]"
        )


def check_share(name: str, value: Any, most: float = 1) -> None:
    """Raise `BadArgument` unless a value is a number in 0..most."""
    if not (_is_number(value) and 0 <= value <= most):
        raise BadArgument(f"{name}: received {value!r}, allowed: numbers in [0, {most:g}]")


def as_dtype(images: Array, dtype: Any) -> Array:
    """Return float images in another type: rounded, half up, and clipped to 0..255 for uint8."""
    if dtype == jnp.uint8:
        images = jnp.clip(jnp.floor(images + 0.5), 0, 255)
    return images.astype(dtype)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
