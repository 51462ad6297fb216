"""A random part of each image, at the size of the whole: random resized crops."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.boxes import random_boxes
from cnnjax.data.augment.images import as_dtype, check_images, check_interval
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["RandomResizedCrop", "random_resized_crop", "resample"]

_RATIO = (3 / 4, 4 / 3)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
    """`random_resized_crop` of every image, apart from the others.

    Attributes:
        scale: least and greatest share of the area, in [0.0001, 1].
        ratio: least and greatest width / height, in [0.01, 100].
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = _RATIO

    def __post_init__(self) -> None:
        _check(self.scale, self.ratio)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return parts of the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        return random_resized_crop(key, images, self.scale, self.ratio), targets


def random_resized_crop(
    key: Key,
    images: Images,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = _RATIO,
) -> Images:
    """Cut a random rectangle out of each image and resize it to the size of the image.

    It has a share of the area that is uniform in `scale` and a width / height whose logarithm is
    uniform in that of `ratio`. Of ten that are drawn the first that fits is taken; where none does,
    the largest one in the middle whose proportions are in `ratio`.

    Args:
        key: a PRNG key.
        images: `[B, H, W, C]`, uint8 or floating point.
        scale: least and greatest share of the area, in [0.0001, 1].
        ratio: least and greatest width / height, in [0.01, 100].

    Returns:
        `[B, H, W, C]`, the dtype of the images, bilinear and antialiased: see `resample`.

    Raises:
        BadArgument: for images of another rank, or intervals outside of these.

    Source: Szegedy et al. 2015, Going Deeper with Convolutions, arXiv:1409.4842; drawn as
    torchvision.transforms.RandomResizedCrop documents it.
    """
    check_images(images)
    _check(scale, ratio)
    height, width = images.shape[1:3]
    shape = min(max(width / height, ratio[0]), ratio[1])
    wide = (height, max(1, min(width, round(height * shape))))
    tall = (max(1, min(height, round(width / shape))), width)
    found = random_boxes(
        jax.random.fold_in(key, 5),
        len(images),
        (height, width),
        scale,
        ratio,
        most=(height, width),
        otherwise=wide if width / height > shape else tall,
    )
    return resample(images, found)


def resample(images: Images, boxes: Array) -> Images:
    """Resize a rectangle of each image to the size of the image, bilinear and antialiased.

    A pixel is a weighted mean of those of the rectangle, by a triangle around its center that
    reaches one pixel far, or one output pixel where the rectangle is larger than the image.

    Args:
        images: `[B, H, W, C]`, uint8 or floating point.
        boxes: `[B, 4]`: top, left, height, width, integers or not.

    Returns:
        `[B, H, W, C]`, the dtype of the images; uint8 is rounded once, Pillow rounds after each
        axis, so that they differ by one gray level at most.

    Raises:
        BadArgument: for images of another rank.
    """
    check_images(images)
    rows, columns = (
        _weights(boxes[:, axis], boxes[:, axis + 2], images.shape[axis + 1]) for axis in (0, 1)
    )
    wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    wide = jnp.einsum("bph,bhwc->bpwc", rows, wide)
    return as_dtype(jnp.einsum("bqw,bpwc->bpqc", columns, wide), images.dtype)


def _weights(start: Array, length: Array, size: int) -> Array:
    """Return `[B, size, size]`: by how much an output pixel weighs each input pixel of an axis."""
    places = jnp.arange(size, dtype=jnp.float32) + 0.5
    start, length = (each.astype(jnp.float32)[:, None, None] for each in (start, length))
    step = length / size
    centers = start + places[None, :, None] * step
    distance = jnp.abs(places[None, None, :] - centers) / jnp.maximum(step, 1)
    there = (places[None, None, :] > start) & (places[None, None, :] < start + length)
    weights = jnp.where(there, jnp.maximum(1 - distance, 0), 0)
    return weights / weights.sum(axis=-1, keepdims=True)


def _check(scale: tuple[float, float], ratio: tuple[float, float]) -> None:
    check_interval("scale", scale, 1e-4, 1)
    check_interval("ratio", ratio, 0.01, 100)
