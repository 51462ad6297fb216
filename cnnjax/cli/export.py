"""`cnnjax export`: a network as a file that runs without this library."""

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import tyro

from cnnjax.classifier import Classifier, load
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.summary import image_shape
from cnnjax.data.preprocessing import LARGEST_SIDE
from cnnjax.errors import BadArgument
from cnnjax.files import printable, replacing
from cnnjax.models import build
from cnnjax.terminal import print_json
from cnnjax.weights.export import export_network

__all__ = ["export"]

_MOST_IMAGES, _MOST_CLASSES = 65_536, 1_000_000


def export(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    out: Annotated[Path, metavar("FILE.jax")],
    weights: Annotated[str | None, option("SOURCE")] = None,
    batch: Annotated[str, metavar("N|any")] = "1",
    platforms: Annotated[str, metavar("NAMES")] = "cpu",
    input_size: Annotated[str | None, option("N|HxW")] = None,
    num_classes: Annotated[int | None, option("N")] = None,
    json: bool = False,
) -> None:
    """Write a network's evaluation as a program that `jax.export.deserialize` reads.

    With weights they are part of it: `.call(images)`. Without, it takes variables as
    `cnnjax.build(NETWORK).init` structures them: `.call(variables, images)`. Images are float32
    [batch, H, W, C], normalized; the result is logits [batch, classes]. How images are prepared and
    what the classes are called is in a file beside it, FILE.json.

    Example: cnnjax export efficientnet_lite0 --weights package --platforms cpu,cuda --out lite0.jax

    Args:
        network: a name from `cnnjax models`.
        out: the file to write.
        weights: package (what `cnnjax[pretrained]` installs), a file, the directory of a
            training, or a hub id; by default they stay arguments of the program.
        batch: images a call; any: not fixed.
        platforms: cpu, cuda, rocm, tpu, with commas between.
        input_size: pixels, N or HxW; by default what the weights, or the network, are made for.
        num_classes: classes to tell apart; by default the network's. Weights have their own.
        json: print what FILE.json holds as JSON.
    """
    _check_out(out)
    number = _batch(batch)
    if num_classes is not None and not 1 <= num_classes <= _MOST_CLASSES:
        raise BadArgument(
            f"num_classes: received {num_classes}, allowed: integers 1..{_MOST_CLASSES}"
        )
    names = list(dict.fromkeys(name.strip() for name in platforms.split(",") if name.strip()))
    facts: dict[str, Any] = {"network": network, "weights": weights}
    if weights is None:
        shape = _shape(network, input_size, None)
        model, variables = _without_weights(network, shape, num_classes)
        facts["call"] = "variables, images"
    else:
        classifier = load(network, weights)
        _check_classes(classifier, num_classes)
        shape = _shape(network, input_size, classifier)
        model, variables = classifier.model, classifier.variables
        how = classifier.preprocessing.for_images(*shape)
        facts |= {"call": "images", "class_names": classifier.class_names}
        facts["preprocessing"] = dataclasses.asdict(how)
    data = export_network(
        model, variables, shape, batch=number, platforms=names, baked=weights is not None
    )
    facts |= {"image_shape": shape, "batch": number, "platforms": names}
    beside = out.with_suffix(".json")
    with replacing(out) as stream:
        stream.write(data)
    with replacing(beside) as stream:
        stream.write((json_module.dumps(facts, indent=2) + "\n").encode())
    if json:
        print_json(facts)
        return
    size = "x".join(map(str, shape))
    print(
        f"{out}: {len(data) / 2**20:.1f} MiB for {', '.join(names)}; "
        f"call({facts['call']}) with images {batch}x{size}; {beside} says how to use it"
    )


def _check_out(out: Path) -> None:
    if out.suffix != ".jax":
        raise BadArgument(
            f"out: received {printable(str(out))!r}, allowed: names ending in .jax; what is "
            "written is a program for jax.export, in no other format"
        )
    if not out.parent.is_dir():
        raise BadArgument(f"out: there is no directory {printable(str(out.parent))!r}")


def _batch(batch: str) -> int | None:
    """Return the images a call, None for any number."""
    if batch == "any":
        return None
    if not (batch.isascii() and batch.isdecimal()) or not 1 <= int(batch[:9]) <= _MOST_IMAGES:
        raise BadArgument(f"batch: received {batch!r}, allowed: integers 1..{_MOST_IMAGES}, any")
    return int(batch)


def _check_classes(classifier: Classifier, num_classes: int | None) -> None:
    own = len(classifier.class_names)
    if num_classes not in (None, own):
        raise BadArgument(
            f"num_classes: received {num_classes}, allowed with these weights: {own}; "
            "`cnnjax train --weights` makes them tell others apart"
        )


def _without_weights(
    network: str, shape: tuple[int, int, int], num_classes: int | None
) -> tuple[Any, Any]:
    """Return the network and the shapes of its variables."""
    model = build(network, **({} if num_classes is None else {"num_classes": num_classes}))
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return model, jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, images)


def _shape(
    network: str, input_size: str | None, classifier: Classifier | None
) -> tuple[int, int, int]:
    """Return `(H, W, C)`: as asked for, else the weights' own, else the network's usual one."""
    if classifier is None:
        shape = image_shape(network, input_size)
    elif input_size is None:
        shape = classifier.image_shape
    else:
        shape = image_shape(network, input_size, classifier.image_shape[2])
    if max(shape[:2]) > LARGEST_SIDE:
        raise BadArgument(f"input_size: received {input_size}, allowed: 1..{LARGEST_SIDE} pixels")
    return shape
