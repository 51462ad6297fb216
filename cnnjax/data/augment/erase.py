"""Taking parts of images away: cutout and random erasing."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.boxes import inside, random_boxes
from cnnjax.data.augment.images import check_images, check_interval, check_share
from cnnjax.errors import BadArgument, bounded
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["Cutout", "RandomErasing", "cutout", "random_erasing"]


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


@dataclasses.dataclass(frozen=True)
class RandomErasing:
    """`random_erasing` of some of the images; what is erased is zero, or noise.

    Attributes:
        probability: of an image to lose something, in [0, 1].
        scale: least and greatest share of its area, in [0, 1].
        ratio: least and greatest width / height, in [0.01, 100].
        noise: whether noise takes its place.
    """

    probability: float = 0.25
    scale: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 10 / 3)
    noise: bool = False

    def __post_init__(self) -> None:
        check_share("probability", self.probability)
        _check_shape(self.scale, self.ratio)
        if not isinstance(self.noise, bool):
            raise BadArgument(f"noise: received {self.noise!r}, allowed: True, False")

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        erased = random_erasing(
            key, images, self.probability, self.scale, self.ratio, noise=self.noise
        )
        return erased, targets


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


def random_erasing(
    key: Key,
    images: Images,
    probability: float = 0.25,
    scale: tuple[float, float] = (0.02, 1 / 3),
    ratio: tuple[float, float] = (0.3, 10 / 3),
    *,
    noise: bool = False,
) -> Images:
    """Erase a random rectangle of some of the images, to zero or to noise.

    It has a share of the area that is uniform in `scale` and a width / height whose logarithm is
    uniform in that of `ratio`; of ten that are drawn the first that is smaller than the image is
    taken, and where none is nothing is erased.

    Args:
        key: a PRNG key.
        images: `[B, H, W, C]`, uint8 or floating point; normalized, zero is the mean color.
        probability: of each image to lose something, in [0, 1].
        scale: least and greatest share of the area, in [0, 1].
        ratio: least and greatest width / height, in [0.01, 100].
        noise: whether each number becomes random: uniform in 0..255 in uint8 images, of the
            standard normal distribution in others, which are taken for normalized ones.

    Returns:
        `[B, H, W, C]`, the dtype of the images.

    Raises:
        BadArgument: for images of another rank, or numbers outside these ranges.

    Source: Zhong et al. 2020, Random Erasing Data Augmentation, arXiv:1708.04896.
    """
    check_images(images)
    check_share("probability", probability)
    _check_shape(scale, ratio)
    coin_key, box_key, noise_key = jax.random.split(jax.random.fold_in(key, 6), 3)
    batch, height, width, _ = images.shape
    smaller = (height - 1, width - 1)
    boxes = random_boxes(
        box_key, batch, (height, width), scale, ratio, most=smaller, otherwise=(0, 0)
    )
    chosen = jax.random.bernoulli(coin_key, probability, (batch, 1, 1, 1))
    if not noise:
        fill = jnp.zeros((), images.dtype)
    elif images.dtype == jnp.uint8:
        fill = jax.random.bits(noise_key, images.shape, jnp.uint8)
    else:
        fill = jax.random.normal(noise_key, images.shape, images.dtype)
    return jnp.where(chosen & inside(boxes, (height, width))[..., None], fill, images)


def _check_shape(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    check_interval("scale", scale, 0, 1)
    check_interval("ratio", ratio, 0.01, 100)
