"""Photographs from files, and as a network with published weights expects them."""

import os
import warnings
from collections.abc import Sequence

import numpy as np

from cnnjax.errors import BadArgument, Failed, missing_extra

__all__ = ["INTERPOLATIONS", "prepare_photograph", "read_photograph"]

INTERPOLATIONS = ("bilinear", "bicubic")
"""What `prepare_photograph` knows; both with antialiasing."""


def read_photograph(path: str | os.PathLike[str], channels: int = 3) -> np.ndarray:
    """Read an image file as `[H, W, channels]` uint8, upright.

    The camera's orientation is applied, transparent parts become white, and a colour image becomes
    grey where `channels` is 1.

    Raises:
        Failed: for a file that is not there, is damaged or is not an image; and without Pillow.
        BadArgument: for channels other than 1 or 3.
    """
    if channels not in (1, 3):
        raise BadArgument(f"channels: received {channels}, allowed: 1, 3")
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise missing_extra("pillow", "pretrained") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I;16"):  # Pillow would cut off the high byte
            image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except UnidentifiedImageError:
        raise Failed(f"{path}: not an image in a known format") from None
    except OSError as error:
        raise Failed(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can fail in any way inside its decoder
        raise Failed(f"{path}: damaged, or not an image ({error})") from error
    return pixels.reshape(*pixels.shape[:2], channels)


def prepare_photograph(
    image: np.ndarray,
    *,
    size: int,
    crop: float = 0.875,
    interpolation: str = "bicubic",
    mean: Sequence[float],
    std: Sequence[float],
) -> np.ndarray:
    """Cut the middle out of an image, resize it and normalise it: `(pixels / 255 - mean) / std`.

    Args:
        image: `[H, W, C]` uint8.
        size: side of the result in pixels, from 1.
        crop: side of the square that is cut out, as a share of the shorter side, in (0, 1].
        interpolation: of `INTERPOLATIONS`.
        mean: `[C]`, in 0..1.
        std: `[C]`, above 0.

    Returns:
        `[size, size, C]` float32.

    Raises:
        BadArgument: for another shape, dtype or value.
        Failed: without Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("pillow", "pretrained") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise BadArgument(
            f"image: received {image.dtype} {list(image.shape)}, allowed: uint8 [H, W, 1 or 3]"
        )
    if size < 1 or not 0 < crop <= 1:
        raise BadArgument(f"size, crop: received {size}, {crop}, allowed: from 1; in (0, 1]")
    if interpolation not in INTERPOLATIONS:
        raise BadArgument(
            f"interpolation: received {interpolation!r}, allowed: {', '.join(INTERPOLATIONS)}"
        )
    if not len(mean) == len(std) == image.shape[-1]:
        raise BadArgument(
            f"mean, std: {len(mean)} and {len(std)} numbers for {image.shape[-1]} channels"
        )
    height, width, channels = image.shape
    side = max(1.0, crop * min(height, width))
    left, top = (width - side) / 2, (height - side) / 2
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    # Cut and resized at once: rounding the cut to whole pixels first would shift the image.
    resized = picture.resize(
        (size, size),
        Image.Resampling[interpolation.upper()],
        box=(left, top, left + side, top + side),
    )
    pixels = np.asarray(resized, np.float32).reshape(size, size, channels) / 255
    return (pixels - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
