"""Taking parts of images away: cutout."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import check_images
from cnnjax.errors import bounded
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["Cutout", "cutout"]


@dataclasses.dataclass(frozen=True)
class Cutout:
    """`cutout` of every image: after `Normalize` in a chain, the square has the mean color.

    Attributes:
        size: side of the square in pixels, in 1..1,000,000 and at most twice the images' side.
    """

    size: int = 8

    def __post_init__(self) -> None:
        bounded("size", self.size, 1, 1_000_000)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]` with a square of zeros; targets `[B, K]` as they are."""
        return cutout(key, images, self.size), targets


def cutout(key: Key, images: Images, size: int) -> Images:
    """Set a square of each image to zero, around a random pixel and clipped at the border.

    On normalized images zero is the mean of the training set, as in the paper.

    Args:
        key: a PRNG key.
        images: `[B, H, W, C]`, uint8 or floating point.
        size: the side of the square in pixels, from 1 to twice the longer side of the images.

    Returns:
        `[B, H, W, C]`, the dtype of the images.

    Raises:
        BadArgument: for images of another rank or another size.

    Source: DeVries and Taylor 2017, Improved Regularization of Convolutional Neural Networks with
    Cutout, arXiv:1708.04552.
    """
    check_images(images)
    bounded("size", size, 1, 2 * max(images.shape[1:3]))
    batch, height, width, _ = images.shape
    rows_key, columns_key = jax.random.split(jax.random.fold_in(key, 3))

    def covered(key: Key, length: int) -> Array:
        start = jax.random.randint(key, (batch, 1), 0, length) - size // 2
        place = jnp.arange(length)[None, :]
        return (place >= start) & (place < start + size)

    rows, columns = covered(rows_key, height), covered(columns_key, width)
    square = rows[:, :, None, None] & columns[:, None, :, None]
    return jnp.where(square, jnp.zeros((), images.dtype), images)
