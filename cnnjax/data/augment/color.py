"""Changing the colors of images: jitter, gray, blur. All stand before `Normalize`, in 0..255."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import (
    as_dtype,
    check_colors,
    check_images,
    check_interval,
    check_share,
)
from cnnjax.errors import BadArgument, bounded
from cnnjax.typing import Array, Images, Key, Targets

__all__ = [
    "ColorJitter",
    "GaussianBlur",
    "RandomGray",
    "color_jitter",
    "gaussian_blur",
    "gray_of",
    "random_gray",
    "turn_hue",
]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow and torchvision have it
_STRONGEST = 10.0  # factors beyond it leave black and white only


@dataclasses.dataclass(frozen=True)
class ColorJitter:
    """`color_jitter` of every image, apart from the others.

    Attributes:
        brightness: factors are drawn from `[max(0, 1 - brightness), 1 + brightness]`; in [0, 10].
        contrast: likewise.
        saturation: likewise.
        hue: the turn is drawn from `[-hue, hue]`, where 1 is the whole circle; in [0, 0.5].
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        _check_jitter(self.brightness, self.contrast, self.saturation, self.hue)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        how = (self.brightness, self.contrast, self.saturation, self.hue)
        return color_jitter(key, images, *how), targets


@dataclasses.dataclass(frozen=True)
class RandomGray:
    """`random_gray`: some of the images without their colors.

    Attributes:
        probability: of each image, in [0, 1].
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        check_share("probability", self.probability)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        return random_gray(key, images, self.probability), targets


@dataclasses.dataclass(frozen=True)
class GaussianBlur:
    """`gaussian_blur` of some of the images, each with a width of its own.

    Attributes:
        sigma: least and greatest standard deviation in pixels, in [0.01, 100].
        radius: pixels on each side that count, in 1..1,000 and less than the images have.
        probability: of each image, in [0, 1].
    """

    sigma: tuple[float, float] = (0.1, 2.0)
    radius: int = 4
    probability: float = 0.5

    def __post_init__(self) -> None:
        check_interval("sigma", self.sigma, 0.01, 100)
        bounded("radius", self.radius, 1, 1000)
        check_share("probability", self.probability)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return the images `[B, H, W, C]`; targets `[B, K]` as they are."""
        sigma_key, coin_key = jax.random.split(jax.random.fold_in(key, 9))
        low, high = self.sigma
        sigma = jax.random.uniform(sigma_key, (len(images),), minval=low, maxval=high)
        chosen = jax.random.bernoulli(coin_key, self.probability, (len(images), 1, 1, 1))
        return jnp.where(chosen, gaussian_blur(images, sigma, self.radius), images), targets


def color_jitter(
    key: Key, images: Images, brightness: float, contrast: float, saturation: float, hue: float
) -> Images:
    """Change brightness, contrast, saturation and hue of each image, in a random order.

    With a factor `f` of its own, `x` becomes `d + f (x - d)`, where `d` is black (brightness), the
    mean luminance of the image (contrast) or the luminance of the pixel (saturation), and is
    clipped to 0..255 after each; the hue is turned by a number of its own.

    Args:
        key: a PRNG key.
        images: `[B, H, W, 1]` or `[B, H, W, 3]`, uint8 or floating point in 0..255.
        brightness: factors are uniform in `[max(0, 1 - brightness), 1 + brightness]`; in [0, 10].
        contrast: likewise.
        saturation: likewise; gray images have none.
        hue: turns are uniform in `[-hue, hue]`, where 1 is the whole circle; in [0, 0.5].

    Returns:
        The shape and dtype of the images. torchvision rounds uint8 down after each change, this
        once at the end.

    Raises:
        BadArgument: for images of another form, or numbers outside these ranges.

    Source: Howard 2013, Some Improvements on Deep Convolutional Neural Network Based Image
    Classification, arXiv:1312.5402; ranges and order as torchvision.transforms.ColorJitter.
    """
    check_colors(images)
    _check_jitter(brightness, contrast, saturation, hue)
    factor_key, order_key, hue_key, place_key = jax.random.split(jax.random.fold_in(key, 7), 4)
    batch = len(images)
    strengths = jnp.asarray([brightness, contrast, saturation], jnp.float32)[None]
    low = jnp.maximum(0, 1 - strengths)
    factors = low + (1 + strengths - low) * jax.random.uniform(factor_key, (batch, 3))
    order = jnp.argsort(jax.random.uniform(order_key, (batch, 3)), axis=1)
    turn = hue * jax.random.uniform(hue_key, (batch,), minval=-1, maxval=1)
    place = jax.random.randint(place_key, (batch,), 0, 4)  # of the hue in the order
    wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))

    def changed(wide: Array, number: int, now: Array) -> Array:
        which = order[:, number]
        factor = jnp.where(now, jnp.take_along_axis(factors, which[:, None], axis=1)[:, 0], 1.0)
        which, factor = which[:, None, None, None], factor[:, None, None, None]
        gray = gray_of(wide)
        mean = gray.mean(axis=(1, 2, 3), keepdims=True)
        toward = jnp.where(which == 0, 0.0, jnp.where(which == 1, mean, gray))
        return jnp.clip(toward + factor * (wide - toward), 0, 255)

    for number in range(3):
        wide = changed(wide, number, number < place)
    if hue and wide.shape[-1] == 3:
        wide = turn_hue(wide, turn)
    for number in range(3):
        wide = changed(wide, number, number >= place)
    return as_dtype(wide, images.dtype)


def gray_of(images: Array) -> Array:
    """Return the luminance `[B, H, W, 1]` of float images `[B, H, W, 1]` or `[B, H, W, 3]`."""
    if images.shape[-1] == 1:
        return images
    weights = jnp.asarray(_LUMA, images.dtype)
    return (images * weights[None, None, None]).sum(axis=-1, keepdims=True)


def turn_hue(images: Array, turn: Array) -> Array:
    """Turn the hue of each pixel, with saturation and value (HSV) as they are.

    Args:
        images: `[B, H, W, 3]` floating point.
        turn: `[B]`, where 1 is the whole circle.

    Returns:
        `[B, H, W, 3]`.
    """
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    value = images.max(axis=-1)
    chroma = value - images.min(axis=-1)
    safe = jnp.where(chroma > 0, chroma, 1)
    sixths = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = sixths + 6 * turn[:, None, None]

    def channel(number: int) -> Array:
        place = (number + hue) % 6
        share = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
        return value - chroma * share

    return jnp.stack([channel(5), channel(3), channel(1)], axis=-1)


def random_gray(key: Key, images: Images, probability: float) -> Images:
    """Replace the channels of some of the images by their luminance.

    Args:
        key: a PRNG key.
        images: `[B, H, W, 1]` or `[B, H, W, 3]`, uint8 or floating point.
        probability: of each image, in [0, 1].

    Returns:
        The shape and dtype of the images.

    Raises:
        BadArgument: for images of another form, or another probability.
    """
    check_colors(images)
    check_share("probability", probability)
    chosen = jax.random.bernoulli(jax.random.fold_in(key, 8), probability, (len(images), 1, 1, 1))
    gray = gray_of(images.astype(jnp.promote_types(images.dtype, jnp.float32)))
    return jnp.where(chosen, as_dtype(gray, images.dtype), images)


def gaussian_blur(images: Images, sigma: Array, radius: int) -> Images:
    """Blur each image with a Gaussian of its own width, the border mirrored.

    Args:
        images: `[B, H, W, C]`, uint8 or floating point.
        sigma: `[B]`, the standard deviation in pixels, above 0.
        radius: pixels on each side that count, from 1 and less than the images have.

    Returns:
        `[B, H, W, C]`, the dtype of the images.

    Raises:
        BadArgument: for images of another rank, or another radius.
    """
    check_images(images)
    if radius >= min(images.shape[1:3]):
        raise BadArgument(
            f"radius: received {radius!r}, allowed: integers from 1 to "
            f"{min(images.shape[1:3]) - 1}, less than the images have"
        )
    bounded("radius", radius, 1, 1000)
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (offsets[None] / sigma[:, None]) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    for axis in (1, 2):
        length = wide.shape[axis]
        widths = [(radius, radius) if each == axis else (0, 0) for each in range(4)]
        padded = jnp.pad(wide, widths, mode="reflect")
        parts = (
            weights[:, tap, None, None, None]
            * jax.lax.slice_in_dim(padded, tap, tap + length, axis=axis)
            for tap in range(2 * radius + 1)
        )
        wide = sum(parts)  # type: ignore[assignment]
    return as_dtype(wide, images.dtype)


def _check_jitter(brightness: float, contrast: float, saturation: float, hue: float) -> None:
    check_share("brightness", brightness, _STRONGEST)
    check_share("contrast", contrast, _STRONGEST)
    check_share("saturation", saturation, _STRONGEST)
    check_share("hue", hue, 0.5)
