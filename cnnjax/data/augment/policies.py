"""Augmentation policies: random operations on each image, of random or of chosen strength."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import as_dtype, check_colors
from cnnjax.data.augment.operations import OPERATIONS, operate
from cnnjax.errors import bounded
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["RandAugment", "TrivialAugment", "rand_augment", "trivial_augment"]

_CHOICES = len(OPERATIONS) - 1  # all but invert, which is the last
_BINS = 31
_FACTORS = ("brightness", "color", "contrast", "sharpness")
_SIGNED = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", *_FACTORS)


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """`rand_augment` of every image, apart from the others; before `Normalize`.

    Attributes:
        operations: how many one after the other, in 1..10.
        magnitude: of each, in 0..30.
    """

    operations: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        _check(self.operations, self.magnitude)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        return rand_augment(key, images, self.operations, self.magnitude), targets


@dataclasses.dataclass(frozen=True)
class TrivialAugment:
    """`trivial_augment` of every image, apart from the others; before `Normalize`."""

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        return trivial_augment(key, images), targets


def rand_augment(key: Key, images: Images, operations: int = 2, magnitude: int = 9) -> Images:
    """Apply random operations of one magnitude to each image.

    Each is one of 14, equally likely: those of `OPERATIONS` without invert. At magnitude 30 shears
    are 0.3, shifts 150 / 331 of the width or height, angles 30 degrees, factors 0.1 or 1.9,
    posterize keeps 4 bits, solarize inverts all; at 0 nothing changes. Their signs are random.

    Args:
        key: a PRNG key.
        images: `[B, H, W, 1]` or `[B, H, W, 3]` uint8, or floating point in 0..255, which is
            rounded.
        operations: how many one after the other, in 1..10.
        magnitude: in 0..30.

    Returns:
        The shape and dtype of the images; what comes from outside of an image is black.

    Raises:
        BadArgument: for images of another form, or numbers outside these ranges.

    Source: Cubuk et al. 2020, RandAugment: Practical automated data augmentation with a reduced
    search space, arXiv:1909.13719; magnitudes as torchvision.transforms.RandAugment documents them.
    """
    check_colors(images)
    _check(operations, magnitude)
    height, width = images.shape[1:3]
    strength = jnp.full(len(images), magnitude, jnp.float32)
    levels = _levels(strength, 0.3, (150 / 331 * width, 150 / 331 * height), 30, 0.9, 4)
    byte = as_dtype(images, jnp.uint8)
    for number in range(operations):
        byte = _drawn(jax.random.fold_in(key, number), byte, levels)
    return byte.astype(images.dtype)


def trivial_augment(key: Key, images: Images) -> Images:
    """Apply one random operation of random magnitude to each image.

    One of the 14 of `rand_augment`, with a magnitude in 0..30 for each image; at 30 shears are
    0.99, shifts 32 pixels, angles 135 degrees, factors 0.01 or 1.99, posterize keeps 2 bits.

    Args:
        key: a PRNG key.
        images: as of `rand_augment`.

    Returns:
        The shape and dtype of the images; what comes from outside of an image is black.

    Raises:
        BadArgument: for images of another form.

    Source: Mueller and Hutter 2021, TrivialAugment: Tuning-free Yet State-of-the-Art Data
    Augmentation, arXiv:2103.10158, its wide search space.
    """
    check_colors(images)
    draw_key, strength_key = jax.random.split(key)
    strength = jax.random.randint(strength_key, (len(images),), 0, _BINS).astype(jnp.float32)
    levels = _levels(strength, 0.99, (32, 32), 135, 0.99, 6)
    return _drawn(draw_key, as_dtype(images, jnp.uint8), levels).astype(images.dtype)


def _levels(
    strength: Array,
    shear: float,
    shift: tuple[float, float],
    degrees: float,
    factor: float,
    bits: int,
) -> Array:
    """Return `[B, operations]`: the magnitude of each operation at a strength `[B]` in 0..30."""
    share = strength / (_BINS - 1)
    found = {
        "shear_x": shear * share,
        "shear_y": shear * share,
        "translate_x": jnp.floor(shift[0] * share + 1e-4),  # a product a hair below its integer
        "translate_y": jnp.floor(shift[1] * share + 1e-4),
        "rotate": degrees * share,
        **{name: factor * share for name in _FACTORS},
        "posterize": 8 - jnp.round(bits * share),
        "solarize": 255 * (1 - share),
    }
    nothing = jnp.zeros_like(share)
    return jnp.stack([found.get(name, nothing) for name in OPERATIONS], axis=1)


def _drawn(key: Key, images: Images, levels: Array) -> Images:
    choice_key, sign_key = jax.random.split(key)
    operation = jax.random.randint(choice_key, (len(images),), 0, _CHOICES)
    magnitude = jnp.take_along_axis(levels, operation[:, None], axis=1)[:, 0]
    signed = jnp.asarray([name in _SIGNED for name in OPERATIONS])[operation]
    negative = signed & jax.random.bernoulli(sign_key, shape=(len(images),))
    return operate(images, operation, jnp.where(negative, -magnitude, magnitude))


def _check(operations: int, magnitude: int) -> None:
    bounded("operations", operations, 1, 10)
    bounded("magnitude", magnitude, 0, _BINS - 1)
