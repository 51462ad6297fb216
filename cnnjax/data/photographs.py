"""Photographs from files, and as a network with published weights expects them."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cnnjax.data.preprocessing import CROP_MODES, INTERPOLATIONS, windows
from cnnjax.errors import BadArgument, Failed, missing_extra
from cnnjax.files import mistaken, printable, reading
from cnnjax.runtime import cores

__all__ = [
    "FORMATS",
    "decode_fitted",
    "decode_photograph",
    "fit_photograph",
    "in_threads",
    "photograph_size",
    "prepare_photograph",
    "quiet",
    "read_photograph",
]

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM"),
    *("AVIF", "JPEG2000", "ICO", "PCX", "PSD", "SGI", "QOI"),
)
"""What `read_photograph` reads, by Pillow's names; formats that run other programs are left out."""

_ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held; from 5 on its sides are swapped."""


def read_photograph(path: str | os.PathLike[str], channels: int = 3) -> np.ndarray:
    """Read an image file as `[H, W, channels]` uint8, upright.

    The camera's orientation is applied, transparent parts become white, 16 bits become 8, and a
    color image becomes grey where `channels` is 1.

    Raises:
        Failed: for a file that is not there, is damaged or is not an image of a format in
            `FORMATS`, or whose numbers have no scale (signed, floating, 32 bits); without Pillow.
        BadArgument: for channels other than 1 or 3.
    """
    with quiet():
        return decode_photograph(path, channels)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings about metadata that nobody reads from being shown.

    Python's filters of warnings are the whole process's: threads that decode share one such block.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_threads(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Return a function's results, computed by a thread for each core, inside of `quiet`.

    That helps with what decodes and resizes: Pillow lets go of Python's lock meanwhile.
    """
    pool = ThreadPoolExecutor(cores() or 1, "cnnjax-decode")
    try:
        with quiet():
            return list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)


def decode_photograph(path: str | os.PathLike[str], channels: int = 3) -> np.ndarray:
    """Do what `read_photograph` does, in a thread of several, all inside of one `quiet`."""
    if channels not in (1, 3):
        raise BadArgument(f"channels: received {channels}, allowed: 1, 3")
    with _worded(path) as stream:
        return _pixels(_decode(stream, channels))


def decode_fitted(
    path: str | os.PathLike[str],
    channels: int,
    *,
    size: int | tuple[int, int],
    crop: float = 1.0,
    interpolation: str = "bicubic",
    crop_mode: str = "center",
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return what `fit_photograph` makes of `decode_photograph`, and height and width before.

    The same to the bit, and faster: no array is made of the whole image.
    """
    if channels not in (1, 3):
        raise BadArgument(f"channels: received {channels}, allowed: 1, 3")
    with _worded(path) as stream:
        picture = _decode(stream, channels)
    return _fitted(picture, size, crop, interpolation, crop_mode), (picture.height, picture.width)


def _pixels(picture: Any) -> np.ndarray:
    """Return Pillow's image as `[H, W, C]`."""
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def photograph_size(path: str | os.PathLike[str]) -> tuple[int, int, bool]:
    """Return height and width of the image in a file, upright, and whether it is grey.

    Only the beginning of the file is read, inside of `quiet`; errors as of `read_photograph`.
    """
    with _worded(path) as stream, _opened(stream) as file:
        turned = file.getexif().get(_ORIENTATION, 1) in range(5, 9)
        width, height = reversed(file.size) if turned else file.size
        grey = file.mode in ("1", "L", "LA") or file.mode.startswith("I")
        return height, width, grey


@contextlib.contextmanager
def _worded(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield an image file's content; whatever goes wrong with it meanwhile becomes `Failed`."""
    try:
        from PIL import UnidentifiedImageError
    except ImportError as error:
        raise missing_extra("pillow", "pretrained") from error
    shown = printable(os.fspath(path))
    if os.path.isdir(path):
        raise Failed(f"{shown}: a directory; give the images that are in it")
    beginning = b""
    try:
        with reading(Path(path), "image") as stream:
            beginning = stream.read(512)
            stream.seek(0)
            yield stream
    except UnidentifiedImageError:
        what = mistaken(beginning) or "not an image in a known format" if beginning else "empty"
        raise Failed(f"{shown}: {what}") from None
    except BadArgument as error:  # one of many images: the others may be there
        raise Failed(str(error)) from None
    except Failed as error:
        raise Failed(f"{shown}: {error}") from None
    except OSError as error:
        raise Failed(f"{shown}: {printable(str(error.strerror or error))}") from error
    except Exception as error:  # a damaged file can fail in any way inside its decoder
        reason = printable(str(error))
        raise Failed(f"{shown}: damaged, or not an image ({reason})") from error


def _opened(stream: BinaryIO) -> Any:
    """Return Pillow's image of a stream, its pixels not decoded yet."""
    from PIL import Image

    Image.init()
    known = [kind for kind in FORMATS if kind in Image.OPEN]
    file = Image.open(stream, formats=known)
    most, pixels = Image.MAX_IMAGE_PIXELS, file.width * file.height
    # Pillow itself only warns of what is less than twice as large.
    if most is not None and pixels > most:
        raise Failed(f"{pixels} pixels, which no photograph has; allowed: {most}")
    return file


def _decode(stream: BinaryIO, channels: int) -> Any:
    """Return Pillow's image, upright, of mode L or RGB."""
    from PIL import Image, ImageChops, ImageOps

    with _opened(stream) as file:
        bits, inverted = _scale(file)
        # Pillow takes all of them for Adobe's, who write their inks inverted.
        plain = file.mode == "CMYK" and file.format == "JPEG" and "adobe" not in file.info
        image = file
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
    if plain:
        image = ImageChops.invert(image)
    if image.mode.startswith("I"):  # Pillow would cut off the high byte, or clip at 255
        deep = np.asarray(image).astype(np.uint32)
        deep = np.where(deep == image.info.get("transparency", -1), 2**bits - 1, deep)
        grey = (deep >> (bits - 8)).astype(np.uint8)
        image = Image.fromarray(255 - grey if inverted else grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy


def _scale(file: Any) -> tuple[int, bool]:
    """Return how many bits a number of more than 8 has, and whether the largest one is black.

    Raises:
        Failed: where nothing says which number is black and which is white.
    """
    tags = getattr(file, "tag_v2", {})  # TIFF's
    kinds = tags.get(339, (1,))
    sixteen = file.mode == "I" and file.format in ("PNG", "PPM")  # which have no deeper ones
    if (file.mode in ("I", "F") and not sixteen) or not {1, 4}.issuperset(kinds):
        raise Failed(
            f"an image of mode {file.mode}, whose numbers are signed, floating or of 32 bits; "
            "allowed: unsigned, of up to 16 bits"
        )
    bits = tags.get(258, (16,))[0] if file.mode.startswith("I;16") else 16
    return bits, tags.get(262) == 0


def prepare_photograph(
    image: np.ndarray,
    *,
    size: int | tuple[int, int],
    crop: float = 0.875,
    interpolation: str = "bicubic",
    mean: Sequence[float],
    std: Sequence[float],
    crop_mode: str = "center",
) -> np.ndarray:
    """Cut the middle out of an image, resize it and normalize it: `(pixels / 255 - mean) / std`.

    Args:
        image: `[H, W, C]` uint8.
        size: of the result in pixels, from 1: the side of a square, or `(h, w)`.
        crop: share of each side that is kept, in (0, 1].
        interpolation: of `INTERPOLATIONS`.
        mean: `[C]`, in 0..1.
        std: `[C]`, above 0.
        crop_mode: of `CROP_MODES`; `Preprocessing` says what they keep.

    Returns:
        `[h, w, C]` float32.

    Raises:
        BadArgument: for another shape, dtype or value.
        Failed: without Pillow.
    """
    pixels = fit_photograph(
        image, size=size, crop=crop, interpolation=interpolation, crop_mode=crop_mode
    )
    if not len(mean) == len(std) == image.shape[-1]:
        raise BadArgument(
            f"mean, std: {len(mean)} and {len(std)} numbers for {image.shape[-1]} channels"
        )
    scaled = pixels.astype(np.float32) / 255
    return (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def fit_photograph(
    image: np.ndarray,
    *,
    size: int | tuple[int, int],
    crop: float = 1.0,
    interpolation: str = "bicubic",
    crop_mode: str = "center",
) -> np.ndarray:
    """Cut an image and resize it, with Pillow: the first half of `prepare_photograph`.

    Arguments and errors as there.

    Returns:
        `[h, w, C]` uint8.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("pillow", "pretrained") from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise BadArgument(
            f"image: received {image.dtype} {list(image.shape)}, allowed: uint8 [H, W, 1 or 3]"
        )
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return _fitted(picture, size, crop, interpolation, crop_mode)


def _fitted(
    picture: Any, size: int | tuple[int, int], crop: float, interpolation: str, crop_mode: str
) -> np.ndarray:
    """Do what `fit_photograph` does, of Pillow's image."""
    from PIL import Image

    shape = (size, size) if isinstance(size, int) else size
    if min(shape) < 1 or not 0 < crop <= 1:
        raise BadArgument(f"size, crop: received {size}, {crop}, allowed: from 1; in (0, 1]")
    if interpolation not in INTERPOLATIONS:
        raise BadArgument(
            f"interpolation: received {interpolation!r}, allowed: {', '.join(INTERPOLATIONS)}"
        )
    if crop_mode not in CROP_MODES:
        raise BadArgument(f"crop_mode: received {crop_mode!r}, allowed: {', '.join(CROP_MODES)}")
    rows, columns = windows((picture.height, picture.width), shape, crop, crop_mode)
    # Cut and resized at once: rounding the cut to whole pixels first would shift the image.
    resized = picture.resize(
        (columns.pixels, rows.pixels),
        Image.Resampling[interpolation.upper()],
        box=(
            *(columns.start, rows.start),
            *(columns.start + columns.extent, rows.start + rows.extent),
        ),
    )
    part = _pixels(resized)
    if part.shape[:2] == tuple(shape):
        return part
    whole = np.zeros((*shape, part.shape[-1]), np.uint8)
    whole[rows.offset :, columns.offset :][: rows.pixels, : columns.pixels] = part
    return whole
