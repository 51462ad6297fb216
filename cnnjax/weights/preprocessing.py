"""What published weights expect of an image: cut, size, interpolation and normalization."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from cnnjax.data.preprocessing import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import decoded, printable, read_bytes
from cnnjax.models import facts_of
from cnnjax.weights.about import About, read_about
from cnnjax.weights.hub import download, is_hub_id
from cnnjax.weights.packages import PACKAGE, PACKAGES
from cnnjax.weights.published import published_preprocessing
from cnnjax.weights.read import SUFFIXES, split_choice

__all__ = ["known_preprocessing", "preprocessing_of"]


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
    return known_preprocessing(name, source, read_about(source), _is_packaged(name, source))


def known_preprocessing(
    name: str, source: Any, about: About | None, tensorflow_born: bool
) -> Preprocessing:
    """Return what `preprocessing_of` does, of a source that was read.

    Args:
        name: of the network.
        source: as `load_weights` takes it.
        about: what the file says.
        tensorflow_born: whether they are Google's weights of a lite network.
    """
    if about is not None:
        return about.preprocessing
    if tensorflow_born:
        size = facts_of(name).input_size
        return Preprocessing(size, size, 0.875, "bicubic", *_LITE)
    if isinstance(source, str) and _is_on_hub(source):
        return _of_hub(split_choice(source)[0])
    return published_preprocessing(name)


def _is_packaged(name: str, source: Any) -> bool:
    if name not in PACKAGES or not isinstance(source, str | Path):
        return False
    stem = PACKAGES[name].removesuffix("-pytorch-model")
    return source == PACKAGE or Path(source).name.startswith(stem)


def _is_on_hub(source: str) -> bool:
    file, _ = split_choice(source)
    return is_hub_id(file) and Path(file).suffix.lower() not in SUFFIXES and not Path(file).exists()


_Side = Annotated[int, msgspec.Meta(ge=1)]


class _Pretrained(TypedDict):
    input_size: tuple[int, _Side, _Side]
    crop_pct: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class _OptionalPretrained(_Pretrained, total=False):
    crop_mode: str | None


class _Config(TypedDict):
    pretrained_cfg: _OptionalPretrained


def _of_hub(repository: str) -> Preprocessing:
    path = download(repository, ("config.json",))
    content = read_bytes(path, repository, at_most=2**24)
    what = f"{repository}: its config.json does not say how images are prepared"
    config = decoded(content, _Config, what)["pretrained_cfg"]
    _, height, width = config["input_size"]
    try:
        return Preprocessing(
            height,
            width,
            config["crop_pct"],
            config["interpolation"],
            config["mean"],
            config["std"],
            config.get("crop_mode") or "center",
        )
    except BadArgument as error:
        raise Failed(f"{printable(what)} ({printable(str(error))})") from error
