"""How the references prepare an image for the weights that the table of networks names.

`published.csv` has torchvision's `weights.transforms()` and timm's `get_pretrained_cfg`, a row for
each of their networks; `tests/golden/make_published.py` wrote it. Where timm has no weights, it is
what its definition is marked with.
"""

import csv
import functools
from dataclasses import dataclass
from pathlib import Path

from cnnjax.models import MODELS

__all__ = ["Preprocessing", "published_preprocessing"]


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
_MNIST = ((0.1307,), (0.3081,))


def published_preprocessing(name: str) -> Preprocessing:
    """Return what the weights expect that `MODELS[name]` names; small images are not cut."""
    if name in _table():
        return _table()[name]
    mean, std = _MNIST if MODELS[name].dataset == "MNIST" else _IMAGENET
    return Preprocessing(MODELS[name].input_size, 1.0, "bicubic", mean, std)


@functools.cache
def _table() -> dict[str, Preprocessing]:
    with open(Path(__file__).with_suffix(".csv"), newline="") as lines:
        return {
            row["network"]: Preprocessing(
                int(row["size"]),
                float(row["crop"]),
                row["interpolation"],
                tuple(map(float, row["mean"].split())),
                tuple(map(float, row["std"].split())),
            )
            for row in csv.DictReader(lines)
        }
