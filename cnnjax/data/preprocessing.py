"""`Preprocessing`: how an image becomes the input of a network."""

import math
from dataclasses import dataclass, replace

from cnnjax.errors import BadArgument

__all__ = ["CROP_MODES", "INTERPOLATIONS", "LARGEST_SIDE", "Preprocessing", "Window", "windows"]

CROP_MODES = ("center", "squash", "pad")
"""What is kept of a photograph's shape; see `Preprocessing`."""

INTERPOLATIONS = ("bilinear", "bicubic")
"""How an image is resized; both with antialiasing."""

LARGEST_SIDE = 16_384
"""The largest height and width of images in pixels; also a bound on what files may ask for."""

_MOST_CHANNELS = 4096


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of a network with certain weights.

    With `crop_mode` "center" the middle of the image is cut out: of the largest part that has the
    shape of the result, `crop` of each side. With "squash" it is `crop` of each side of the image,
    whatever its shape; with "pad", of the smallest frame of the result's shape that holds the image
    whole, black where the image is not. That is resized to `height` by `width` pixels, divided by
    255, less `mean`, over `std`.

    Attributes:
        height: of the result in pixels, in 1..16384.
        width: the same.
        crop: a share, in (0, 1].
        interpolation: "bilinear" or "bicubic".
        mean: one finite number for each channel.
        std: the same, above 0.
        crop_mode: "center", "squash" or "pad"; timm calls the last "border".

    Raises:
        BadArgument: for a value outside these ranges.
    """

    height: int
    width: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            side = getattr(self, name)
            if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
                raise BadArgument(f"{name}: received {side!r}, allowed: integers 1..{LARGEST_SIDE}")
        if not 0 < self.crop <= 1:
            raise BadArgument(f"crop: received {self.crop!r}, allowed: numbers in (0, 1]")
        for name, allowed in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
            if getattr(self, name) not in allowed:
                raise BadArgument(
                    f"{name}: received {getattr(self, name)!r:.40}, allowed: {', '.join(allowed)}"
                )
        if len(self.mean) != len(self.std) or not 1 <= len(self.mean) <= _MOST_CHANNELS:
            raise BadArgument(
                f"mean, std: received {len(self.mean)} and {len(self.std)} numbers, allowed: one "
                f"for each of 1..{_MOST_CHANNELS} channels"
            )
        if not all(map(math.isfinite, self.mean)):
            raise BadArgument(f"mean: received {list(self.mean)}, allowed: finite numbers")
        if not all(0 < value < math.inf for value in self.std):
            raise BadArgument(f"std: received {list(self.std)}, allowed: finite numbers above 0")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(H, W, C)` of the result."""
        return self.height, self.width, len(self.mean)

    def for_images(self, height: int, width: int, channels: int) -> "Preprocessing":
        """Return the same for results of another shape.

        Other channels than these have the mean and the deviation that these have on average.
        """
        mean, std = self.mean, self.std
        if len(mean) != channels:
            mean, std = ((math.fsum(each) / len(each),) * channels for each in (mean, std))
        return replace(self, height=height, width=width, mean=mean, std=std)


@dataclass(frozen=True)
class Window:
    """What one side of an image gives to one side of its result.

    Attributes:
        start: where the part begins that is resized, in pixels from the image's edge.
        extent: how long that part is, in pixels of the image, from 1.
        pixels: what it becomes, from 1.
        offset: where these begin in the result; what is not theirs is black.
    """

    start: float
    extent: float
    pixels: int
    offset: int


def windows(
    image: tuple[int, int], result: tuple[int, int], crop: float, mode: str
) -> tuple[Window, Window]:
    """Return what of an image's height and width is resized to what of a result's.

    Args:
        image: height and width in pixels.
        result: the same, of the result.
        crop: as `Preprocessing.crop`.
        mode: of CROP_MODES.
    """
    scales = image[0] / result[0], image[1] / result[1]
    if mode != "squash":
        scales = (min(scales) if mode == "center" else max(scales),) * 2
    rows, columns = (
        _window(length, pixels, crop * scale)
        for length, pixels, scale in zip(image, result, scales, strict=True)
    )
    return rows, columns


def _window(length: int, pixels: int, scale: float) -> Window:
    """Return the window of a side where a pixel of the result is `scale` of the image's."""
    extent = max(1.0, pixels * scale)
    if extent <= length * (1 + 1e-9):  # the division that made the scale may have rounded up
        extent = min(extent, length)
        return Window((length - extent) / 2, extent, pixels, 0)
    shown = min(pixels, max(1, round(length / scale)))
    return Window(0.0, float(length), shown, (pixels - shown) // 2)
