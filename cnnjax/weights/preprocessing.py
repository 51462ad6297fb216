"""What published weights expect of an image: cut, size, interpolation and normalisation."""

import json
from pathlib import Path
from typing import Any

from cnnjax.errors import Failed
from cnnjax.models import MODELS
from cnnjax.weights.about import read_about
from cnnjax.weights.hub import download, is_hub_id
from cnnjax.weights.packages import PACKAGE, PACKAGES
from cnnjax.weights.published import Preprocessing, published_preprocessing
from cnnjax.weights.read import SUFFIXES

__all__ = ["Preprocessing", "preprocessing_of"]


# tensorflow/tpu models/official/efficientnet/lite/efficientnet_lite_builder.py, over 255
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)


def preprocessing_of(name: str, source: Any = None) -> Preprocessing:
    """Return the preprocessing that belongs to the weights `source` of the network `name`.

    Exact for a file that `save_weights` was told it of, for "package" or a file of that package,
    and for a hub id whose repository has a `config.json` as timm writes it. Of another file nothing
    is known but the network: then it is that of the weights that the table of networks names, or of
    the reference's definition.

    Raises what the download of a hub repository raises.
    """
    if (about := read_about(source)) is not None:
        return about.preprocessing
    if _is_packaged(name, source):
        return Preprocessing(MODELS[name].input_size, 0.875, "bicubic", *_LITE)
    if _is_on_hub(source):
        return _of_hub(source)
    return published_preprocessing(name)


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
