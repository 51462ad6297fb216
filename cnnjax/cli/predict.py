"""`cnnjax predict`: what is on a photograph."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from cnnjax.classifier import load
from cnnjax.cli.arguments import metavar, option
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable
from cnnjax.terminal import console, print_json, print_table
from cnnjax.weights import PACKAGE

__all__ = ["predict"]

IMAGES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)
"""The suffixes of the files that are taken out of a directory."""


def predict(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, option("IMAGE ...")],
    weights: Annotated[str, metavar("SOURCE")] = PACKAGE,
    top: Annotated[int, metavar("K")] = 5,
    json: bool = False,
) -> int:
    """Name what is on photographs: the likeliest classes with their probabilities.

    Each image is cut, resized and normalized as the weights expect it. A file that cannot be read
    is reported and left out; the exit status is then 1.

    Example: cnnjax predict efficientnet_lite0 holiday.jpg cat.png

    Args:
        network: a name from `cnnjax models`.
        images: image files, or directories, of which all images are taken.
        weights: package (what `cnnjax[pretrained]` installs), a file, the directory of a
            training, or a hub id such as timm/resnet50.a1_in1k.
        top: how many classes to show.
        json: print JSON.
    """
    if not images:
        raise BadArgument("images: received none, allowed: one or more image files")
    if top < 1:
        raise BadArgument(f"top: received {top}, allowed: integers from 1")
    files = [file for path in images for file in _files(path)]
    classifier = load(network, weights)
    failed, rows = 0, []
    for path, likely in classifier.predictions(files):
        if isinstance(likely, Failed):
            print(f"cnnjax: {likely}", file=sys.stderr)
            failed += 1
            continue
        rows.append(_row(path, likely, classifier.class_names, top))
        if not json:
            _print(rows[-1])
    if json:
        print_json(rows)
    return 1 if failed else 0


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the images in a directory and in those inside it, sorted."""
    if not path.is_dir():
        yield path
        return
    found = [file for file in path.rglob("*") if file.suffix.lower() in IMAGES and file.is_file()]
    if not found:
        raise BadArgument(
            f"images: the directory {printable(str(path))!r} has no image in it, no name ending in "
            f"{', '.join(sorted(IMAGES))}"
        )
    yield from sorted(found)


def _row(path: str | Path, likely: np.ndarray, names: Sequence[str], top: int) -> dict[str, Any]:
    best = np.argsort(-likely, kind="stable")[:top].tolist()
    return {
        "image": str(path),
        "classes": [
            {"index": index, "name": names[index], "probability": float(likely[index])}
            for index in best
        ],
    }


def _print(row: dict[str, Any]) -> None:
    cells = [[printable(entry["name"]), f"{entry['probability']:.1%}"] for entry in row["classes"]]
    screen = console()
    screen.print(printable(row["image"]), style="bold", markup=False, soft_wrap=True)
    print_table(["class", ">probability"], cells)
    screen.print()
