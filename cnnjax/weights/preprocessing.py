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

# Dual-path networks keep the constants of the framework that they were trained in.
_DUAL_PATH = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

# Networks whose published weights were not trained with ImageNet's mean and deviation.
_NORMALISED_TO_ONE = (
    "cs3darknet_focus_s",
    "efficientnet_v2_l",
    "ese_vovnet57b",
    "inception_v4",
    "inception_resnet_v2",
    "legacy_xception",
    "mobilenetv1_*",
    "mobilenetv4_conv_small_0*",
    "resnetv2_*",
    "tf_efficientnet_lite*",
)
# torchvision interpolates linearly but for these, timm cubically but for those.
_CUBIC = ("efficientnet_b[02-7]", "efficientnet_v2_l")
_LINEAR = (
    "cspdarknet53",
    "cspresne*",
    "darknet*",
    "dla*",
    "hrnet_*",
    "mobileone*",
    "repvgg*",
    "res2ne*",
    "resnest14d",
    "resnest26d",
    "resnest50d",
    "resnest101e",
    "resnetv2_50x3_bit",
    "resnetv2_101x*_bit",
    "resnetv2_152x4_bit",
    "sedarknet21",
    "tf_efficientnet_lite[34]",
)


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
    cubic = _is_in(name, _CUBIC) if row.reference == "torchvision" else not _is_in(name, _LINEAR)
    crop = 0.875 if row.input_size > 64 else 1.0
    interpolation = "bicubic" if cubic else "bilinear"
    return Preprocessing(row.input_size, crop, interpolation, *_normalisation(name, row.channels))


def _normalisation(name: str, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if channels == 1:
        return _MNIST
    if _is_in(name, _NORMALISED_TO_ONE):
        return _HALF
    return _DUAL_PATH if name.startswith("dpn") else _IMAGENET


def _is_in(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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
