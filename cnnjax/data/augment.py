"""Augmentation on the device: pure functions on a batch, deterministic given the key.

Each takes uint8 or floating-point images `[B, H, W, C]`, returns the same dtype and draws for
each image apart. Each folds a constant of its own into the key, so one key may go to all of them.
"""

import jax
import jax.numpy as jnp

from cnnjax.errors import BadArgument, bounded
from cnnjax.typing import Array, Images, Key

__all__ = ["cutout", "normalise", "random_crop", "random_flip"]


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
    _check(images)
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
    _check(images)
    coins = jax.random.bernoulli(jax.random.fold_in(key, 2), shape=(images.shape[0], 1, 1, 1))
    return jnp.where(coins, images[:, :, ::-1], images)


def cutout(key: Key, images: Images, size: int) -> Images:
    """Set a square of each image to zero, around a random pixel and clipped at the border.

    On normalised images zero is the mean of the training set, as in the paper.

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
    _check(images)
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


def normalise(images: Images, mean: Array, std: Array) -> Images:
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


def _check(images: Images) -> None:
    if images.ndim != 4:
        raise BadArgument(f"images: expected [B, H, W, C], received {list(images.shape)}")


def _per_channel(images: Images, argument: str, value: Array) -> Array:
    _check(images)
    channels = images.shape[-1]
    array = jnp.asarray(value, jnp.float32)
    if array.shape != (channels,):
        raise BadArgument(
            f"{argument}: expected one number for each of {channels} channels, "
            f"received shape {list(array.shape)}"
        )
    return array.reshape(1, 1, 1, channels)
