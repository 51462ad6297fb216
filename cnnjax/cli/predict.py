"""`cnnjax predict`: what is on a photograph."""

import csv
import io
import itertools
import json as json_module
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from cnnjax.classifier import Classifier
from cnnjax.classifier.classifier import BATCH_SIZE
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.network import classifier_of
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable, replacing
from cnnjax.terminal import console, print_json, print_table, tell

__all__ = ["predict"]

IMAGES = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
    | {".webp"}
)
"""The suffixes of the files that are taken out of a directory."""


def predict(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK|DIR")],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, option("IMAGE ...")],
    weights: Annotated[str | None, option("SOURCE")] = None,
    top: Annotated[int, metavar("K")] = 5,
    batch_size: Annotated[int, metavar("N")] = BATCH_SIZE,
    out: Annotated[Path | None, option("FILE")] = None,
    json: bool = False,
) -> int:
    """Name what is on photographs: the likeliest classes with their probabilities.

    Each image is cut, resized and normalized as the weights expect it. A file that cannot be read
    is reported and left out; the exit status is then 1.

    Example: cnnjax predict efficientnet_lite0 holiday.jpg cat.png

    Args:
        network: a name from `cnnjax models`, or the directory of a training.
        images: image files, or directories, of which all images are taken.
        weights: for a name: a file, the directory of a training, a hub id such as
            timm/resnet50.a1_in1k, or, which is the default, package: what `cnnjax[pretrained]`
            installs.
        top: how many classes to show.
        batch_size: how many images are read and looked at together.
        out: a file to write in place of printing: .jsonl, a line of JSON for each image as --json
            has it, or .csv, with the columns image, class_1, probability_1, class_2, ...
        json: print JSON.
    """
    if not images:
        raise BadArgument("images: received none, allowed: one or more image files")
    if top < 1:
        raise BadArgument(f"top: received {top}, allowed: integers from 1")
    if out is not None and out.suffix not in _WRITERS:
        raise BadArgument(
            f"out: received {str(out)!r}, allowed: names ending in {', '.join(_WRITERS)}"
        )
    files = [file for path in images for file in _files(path)]
    classifier = classifier_of(network, weights)
    failures: list[Failed] = []
    rows = _predicted(classifier, files, top, batch_size, failures)
    if out is not None:
        with replacing(out) as stream:
            _WRITERS[out.suffix](io.TextIOWrapper(stream, "utf-8", newline=""), rows)
        print(f"{out} has {len(files) - len(failures):,} images")
    elif json:
        print_json(list(rows))
    else:
        for row in rows:
            _print(row)
    return 1 if failures else 0


def _predicted(
    classifier: Classifier,
    files: Sequence[Path],
    top: int,
    batch_size: int,
    failures: list[Failed],
) -> Iterator[dict[str, Any]]:
    """Yield a row for each image that can be read; say and collect those that cannot."""
    for path, likely in classifier.predictions(files, batch_size=batch_size):
        if isinstance(likely, Failed):
            tell(str(likely))
            failures.append(likely)
        else:
            yield _row(path, likely, classifier.class_names, top)


def _write_lines(stream: io.TextIOWrapper, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        stream.write(json_module.dumps(row) + "\n")
    stream.detach()


def _write_csv(stream: io.TextIOWrapper, rows: Iterable[dict[str, Any]]) -> None:
    table = csv.writer(stream)
    for number, row in enumerate(rows):
        if number == 0:
            places = range(1, len(row["classes"]) + 1)
            heads = [f"{what}_{place}" for place in places for what in ("class", "probability")]
            table.writerow(["image", *heads])
        cells = [(entry["name"], f"{entry['probability']:.6g}") for entry in row["classes"]]
        table.writerow([row["image"], *itertools.chain(*cells)])
    stream.detach()


_WRITERS: dict[str, Callable[[io.TextIOWrapper, Iterable[dict[str, Any]]], None]] = {
    ".jsonl": _write_lines,
    ".csv": _write_csv,
}
"""What writes rows to a file, by the end of its name."""


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
