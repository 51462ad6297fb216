"""Moving images about: random crops and mirror images."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import check_images
from cnnjax.errors import bounded
from cnnjax.typing import Images, Key, Targets

__all__ = ["HorizontalFlip", "RandomCrop", "random_crop", "random_flip"]


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """`random_crop` of every image, apart from the others.

    Attributes:
        padding: pixels of zeros on each side, in 0..1,000,000 and less than the images have.
    """

    padding: int = 4

    def __post_init__(self) -> None:
        bounded("padding", self.padding, 0, 1_000_000)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]` shifted; targets `[B, K]` as they are."""
        return random_crop(key, images, self.padding), targets


@dataclasses.dataclass(frozen=True)
class HorizontalFlip:
    """`random_flip`: half of the images mirrored left to right. Digits and letters must not be."""

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        return random_flip(key, images), targets


def random_crop(key: Key, images: Images, padding: int) -> Images:
    """Pad each image with zeros and cut the original size out at a random place.

    Args:
        key: a PRNG key.
        images: `[B, H, W, C]`, uint8 or floating point.
        padding: pixels of zeros on each side, from 0 to the longer side of the images; each of the
            `(2 padding + 1)^2` shifts is equally likely.

    Returns:
        `[B, H, W, C]`, the dtype of the images.

    Raises:
        BadArgument: for images of another rank or another padding.
    """
    check_images(images)
    bounded("padding", padding, 0, max(images.shape[1:3]))
    if padding == 0:
        return images
    batch = images.shape[0]
    offsets = jax.random.randint(jax.random.fold_in(key, 1), (batch, 2), 0, 2 * padding + 1)
    widths = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, widths)
    # XLA copies these slices row by row; selecting among shifted copies is thirty times slower.
    return jax.vmap(
        lambda image, offset: jax.lax.dynamic_slice(
            image, (offset[0], offset[1], 0), images.shape[1:]
        )
    )(padded, offsets)


def random_flip(key: Key, images: Images) -> Images:
    """Mirror each image left to right with probability one half.

    Args:
        key: a PRNG key.
        images: `[B, H, W, C]`, uint8 or floating point.

    Returns:
        `[B, H, W, C]`, the dtype of the images.

    Raises:
        BadArgument: for images of another rank.
    """
    check_images(images)
    coins = jax.random.bernoulli(jax.random.fold_in(key, 2), shape=(images.shape[0], 1, 1, 1))
    return jnp.where(coins, images[:, :, ::-1], images)
