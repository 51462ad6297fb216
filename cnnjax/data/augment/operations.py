"""The operations of augmentation policies on 8-bit images, another one for each image of a batch.

No image waits for a branch that another takes: geometric operations are one affine map with a
matrix for each image, those of single pixels one table for each image and channel, the others one
blend with another image. They are those of Pillow, to the gray level but for float rounding.
"""

import jax
import jax.numpy as jnp

from cnnjax.typing import Array, Images

__all__ = ["OPERATIONS", "affine", "operate"]

OPERATIONS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
    "invert",
)
"""What an operation's number means."""

_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}


def operate(images: Images, operation: Array, magnitude: Array) -> Images:
    """Apply to each image an operation of its own.

    Args:
        images: `[B, H, W, 1]` or `[B, H, W, 3]` uint8.
        operation: `[B]` integers, places in `OPERATIONS`.
        magnitude: `[B]` float32: the shear (tangent), the shift in pixels, the angle in degrees
            counterclockwise; of brightness, color, contrast, sharpness the factor minus 1; the bits
            that posterize keeps; the level from which solarize inverts. Others have none.

    Returns:
        `[B, H, W, C]` uint8; what comes from outside of the image is black.
    """
    gray = _gray(images)
    looked_up = _look_up(images, _tables(images, gray, operation, magnitude))
    color, sharp = (operation == _NUMBER[name] for name in ("color", "sharpness"))
    wide = looked_up.astype(jnp.float32)
    toward = jnp.where(sharp[:, None, None, None], _smooth(wide), gray.astype(jnp.float32))
    factor = (1 + magnitude)[:, None, None, None]
    blended = jnp.clip(toward + factor * (wide - toward), 0, 255).astype(jnp.uint8)
    result = jnp.where((color | sharp)[:, None, None, None], blended, looked_up)
    return affine(result, _matrices((images.shape[1], images.shape[2]), operation, magnitude))


def affine(images: Images, matrices: Array) -> Images:
    """Return at each pixel what its image has at the place that a matrix maps it to, or black.

    Args:
        images: `[B, H, W, C]` uint8.
        matrices: `[B, 2, 3]`: column and row, of pixel centers, from column, row and 1; the
            nearest pixel is taken, as `Image.transform` of Pillow does.
    """
    height, width = images.shape[1:3]
    x = jnp.arange(width, dtype=jnp.float32)[None, None, :] + 0.5
    y = jnp.arange(height, dtype=jnp.float32)[None, :, None] + 0.5
    at = lambda row, column: matrices[:, row, column][:, None, None]
    columns, rows = (
        jnp.floor(at(row, 0) * x + at(row, 1) * y + at(row, 2)).astype(jnp.int32) for row in (0, 1)
    )
    there = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    place = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
    flat = images.reshape(len(images), height * width, -1)
    taken = jnp.take_along_axis(flat, place.reshape(len(images), -1, 1), axis=1)
    return jnp.where(there[..., None], taken.reshape(images.shape), jnp.uint8(0))


def _matrices(size: tuple[int, int], operation: Array, magnitude: Array) -> Array:
    height, width = size
    of = lambda name, value: jnp.where(operation == _NUMBER[name], value, 0.0)
    angle = jnp.deg2rad(of("rotate", magnitude))
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    across = of("shear_x", magnitude) - sine
    down = of("shear_y", magnitude) + sine
    middle_x, middle_y = width / 2, height / 2
    turned_x = middle_x - cosine * middle_x + sine * middle_y
    turned_y = middle_y - sine * middle_x - cosine * middle_y
    rows = (
        jnp.stack([cosine, across, turned_x + of("translate_x", magnitude)], axis=1),
        jnp.stack([down, cosine, turned_y + of("translate_y", magnitude)], axis=1),
    )
    return jnp.stack(rows, axis=1)


def _tables(images: Images, gray: Array, operation: Array, magnitude: Array) -> Array:
    """Return `[B, C, 256]` uint8: what becomes of each level of each image and channel."""
    level = jnp.arange(256, dtype=jnp.float32)[None]
    factor = 1 + magnitude[:, None]
    mean = jnp.floor(gray.astype(jnp.float32).mean(axis=(1, 2)) + 0.5)  # [B, 1]
    step = 2.0 ** (8 - magnitude[:, None])
    of_image = {
        "brightness": factor * level,
        "contrast": mean + factor * (level - mean),
        "posterize": jnp.floor(level / step) * step,
        "solarize": jnp.where(level < magnitude[:, None], level, 255 - level),
        "invert": 255 - level,
    }
    counts = _histograms(images)  # [B, C, 256]
    there = counts > 0
    least = jnp.argmax(there, axis=-1, keepdims=True).astype(jnp.float32)
    most = 255 - jnp.argmax(there[..., ::-1], axis=-1, keepdims=True).astype(jnp.float32)
    stretch = 255 / jnp.maximum(most - least, 1)
    own = jnp.broadcast_to(level[:, None], counts.shape)
    of_channel = {
        "autocontrast": jnp.where(most > least, (own - least) * stretch, own),
        "equalize": _equalized(counts, there, own),
    }
    table = own
    for name, value in of_image.items():
        table = jnp.where((operation == _NUMBER[name])[:, None, None], value[:, None], table)
    for name, value in of_channel.items():
        table = jnp.where((operation == _NUMBER[name])[:, None, None], value, table)
    return jnp.clip(table, 0, 255).astype(jnp.uint8)


def _equalized(counts: Array, there: Array, own: Array) -> Array:
    """Return the levels at which each becomes equally frequent; the brightest stays uncounted."""
    last = 255 - jnp.argmax(there[..., ::-1], axis=-1, keepdims=True)
    brightest = jnp.take_along_axis(counts, last, axis=-1)
    step = (counts.sum(axis=-1, keepdims=True) - brightest) // 255
    before = jnp.cumsum(counts, axis=-1) - counts
    made = (before + step // 2) // jnp.maximum(step, 1)
    return jnp.where(step > 0, made.astype(jnp.float32), own)


def _histograms(images: Images) -> Array:
    """Return how often each level occurs, `[B, C, 256]` int32."""
    batch, height, width, channels = images.shape
    flat = images.reshape(batch, height * width, channels).astype(jnp.int32)
    first = jnp.arange(batch)[:, None, None] * channels + jnp.arange(channels)[None, None]
    counts = jnp.zeros(batch * channels * 256, jnp.int32).at[(first * 256 + flat).ravel()].add(1)
    return counts.reshape(batch, channels, 256)


def _look_up(images: Images, tables: Array) -> Images:
    channels = images.shape[-1]
    first = jnp.arange(len(images) * channels).reshape(-1, 1, 1, channels)
    return jnp.take(tables.ravel(), first * 256 + images.astype(jnp.int32), mode="clip")


def _gray(images: Images) -> Array:
    """Return the luminance `[B, H, W, 1]` uint8, in the fixed point that Pillow has."""
    if images.shape[-1] == 1:
        return images
    weights = jnp.asarray([19595, 38470, 7471], jnp.int32)[None, None, None]
    total = (images.astype(jnp.int32) * weights).sum(axis=-1, keepdims=True)
    return ((total + 0x8000) >> 16).astype(jnp.uint8)


def _smooth(wide: Array) -> Array:
    """Return float images smoothed by 3x3 ones with a 5 in the middle; borders as they are."""
    height, width = wide.shape[1:3]
    if height < 3 or width < 3:
        return wide
    total = 4 * wide[:, 1:-1, 1:-1]
    for row in range(3):
        for column in range(3):
            total += wide[:, row : height - 2 + row, column : width - 2 + column]
    inner = jnp.floor(total / 13 + 0.5)
    return jax.lax.dynamic_update_slice(wide, inner, (0, 1, 1, 0))
