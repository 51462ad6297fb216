"""Random rectangles of a given area and proportions, as crops and erasing draw them."""

import math

import jax
import jax.numpy as jnp

from cnnjax.typing import Array, Key

__all__ = ["inside", "random_boxes"]

_ATTEMPTS = 10


def random_boxes(
    key: Key,
    number: int,
    size: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    most: tuple[int, int],
    otherwise: tuple[int, int],
) -> Array:
    """Return a random rectangle for each image, each place that it fits in equally likely.

    Its area is uniform in `scale`, its width / height uniform in `ratio` on a scale of logarithms.
    Of ten that are drawn the first that is small enough is taken.

    Args:
        key: a PRNG key.
        number: of rectangles.
        size: height and width of the images.
        scale: least and greatest share of the area.
        ratio: least and greatest width / height.
        most: the greatest height and width that are taken.
        otherwise: height and width where none of the ten is; that rectangle is in the middle.

    Returns:
        `[number, 4]` int32: top, left, height, width.
    """
    keys = jax.random.split(key, 3)
    shape = (number, _ATTEMPTS)
    area = jax.random.uniform(keys[0], shape, minval=scale[0], maxval=scale[1]) * math.prod(size)
    logs = jnp.log(jnp.asarray(ratio, jnp.float32))
    root = jnp.exp(0.5 * jax.random.uniform(keys[1], shape, minval=logs[0], maxval=logs[1]))
    sides = jnp.stack([jnp.sqrt(area) / root, jnp.sqrt(area) * root], axis=-1)
    sides = jnp.round(sides).astype(jnp.int32)  # [number, attempts, 2]
    fits = ((sides > 0) & (sides <= jnp.asarray(most)[None, None])).all(axis=-1)
    first = jnp.take_along_axis(sides, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    found = fits.any(axis=1)[:, None]
    chosen = jnp.where(found, first, jnp.asarray(otherwise, jnp.int32)[None])
    room = jnp.asarray(size, jnp.int32)[None] - chosen
    drawn = jnp.floor(jax.random.uniform(keys[2], (number, 2)) * (room + 1)).astype(jnp.int32)
    corner = jnp.where(found, jnp.minimum(drawn, room), room // 2)  # 1 - 2^-24 may round up
    return jnp.concatenate([corner, chosen], axis=1)


def inside(boxes: Array, size: tuple[int, int]) -> Array:
    """Return which pixels lie in each rectangle `[B, 4]`, as `[B, H, W]` bool."""
    rows, columns = (
        (jnp.arange(length)[None] >= boxes[:, axis, None])
        & (jnp.arange(length)[None] < boxes[:, axis, None] + boxes[:, axis + 2, None])
        for axis, length in enumerate(size)
    )
    return rows[:, :, None] & columns[:, None, :]
