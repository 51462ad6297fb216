"""What published weights expect of an image: cut, size, interpolation and normalisation."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cnnjax.errors import Failed
from cnnjax.models import MODELS
from cnnjax.weights.hub import download, is_hub_id
from cnnjax.weights.packages import PACKAGE, PACKAGES
from cnnjax.weights.read import SUFFIXES

__all__ = ["Preprocessing", "preprocessing_of"]


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of a network with certain weights.

    The middle `crop` of the shorter side, a square, is resized to `size` pixels with
    `interpolation` ("bilinear" or "bicubic"), divided by 255, less `mean`, over `std`.
    """

    size: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# tensorflow/tpu models/official/efficientnet/lite/efficientnet_lite_builder.py, over 255
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
_MNIST = ((0.1307,), (0.3081,))

# Networks whose published weights were not trained with ImageNet's mean and deviation.
_NORMALISED_TO_ONE = (
    "efficientnet_v2_l",
    "inception_v4",
    "inception_resnet_v2",
    "legacy_xception",
    "mobilenetv1_*",
    "mobilenetv4_conv_small_0*",
    "resnetv2_*",
    "tf_efficientnet_lite*",
    "xception*",
)
# torchvision interpolates linearly but for these, timm cubically but for those.
_CUBIC = ("efficientnet_b*", "efficientnet_v2_l")
_LINEAR = ("repvgg*", "mobileone*", "resnest14d", "resnest26d", "resnest50d", "resnest101e")


def preprocessing_of(name: str, source: Any = None) -> Preprocessing:
    """Return the preprocessing that belongs to the weights `source` of the network `name`.

    Exact for "package" or a file of that package, and for a hub id whose repository has a
    `config.json` as timm writes it. Of another file nothing is known but the network: then it is
    the normalisation and interpolation of the reference's weights for it, at the network's own
    size, with the usual 7/8 of the shorter side (all of it for small images).

    Raises what the download of a hub repository raises.
    """
    row = MODELS[name]
    if _is_packaged(name, source):
        return Preprocessing(row.input_size, 0.875, "bicubic", *_LITE)
    if _is_on_hub(source):
        return _of_hub(source)
    one = any(fnmatchcase(name, pattern) for pattern in _NORMALISED_TO_ONE)
    mean, std = _MNIST if row.channels == 1 else _HALF if one else _IMAGENET
    patterns = _CUBIC if row.reference == "torchvision" else _LINEAR
    listed = any(fnmatchcase(name, pattern) for pattern in patterns)
    cubic = listed == (row.reference == "torchvision")
    crop = 0.875 if row.input_size > 64 else 1.0
    return Preprocessing(row.input_size, crop, "bicubic" if cubic else "bilinear", mean, std)


def _is_packaged(name: str, source: Any) -> bool:
    if name not in PACKAGES or not isinstance(source, str | Path):
        return False
    stem = PACKAGES[name].removesuffix("-pytorch-model")
    return source == PACKAGE or Path(source).name.startswith(stem)


def _is_on_hub(source: Any) -> bool:
    if not isinstance(source, str) or Path(source).suffix in SUFFIXES or Path(source).exists():
        return False
    return is_hub_id(source)


def _of_hub(repository: str) -> Preprocessing:
    path = download(repository, ("config.json",))
    try:
        config = json.loads(path.read_text())["pretrained_cfg"]
        return Preprocessing(
            size=int(config["input_size"][-1]),
            crop=float(config["crop_pct"]),
            interpolation=str(config["interpolation"]),
            mean=tuple(map(float, config["mean"])),
            std=tuple(map(float, config["std"])),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(
            f"{repository}: its config.json does not say how images are prepared ({error!r})"
        ) from error
