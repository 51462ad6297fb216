"""`cnnjax summary`: a network layer by layer."""

import re
from typing import Annotated, Any

import tyro

from cnnjax.analysis import Layer, Summary, summarise
from cnnjax.cli.arguments import metavar, option
from cnnjax.data.resizing import MOST_PIXELS
from cnnjax.errors import BadArgument, bounded
from cnnjax.models import build, facts_of
from cnnjax.terminal import console, print_json, print_table, whole

__all__ = ["MOST_CHANNELS", "image_shape", "summary"]

MOST_CHANNELS = 10_000
"""More than any camera has, or any network between its layers."""


def summary(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    input_size: Annotated[str | None, option("N|HxW")] = None,
    channels: Annotated[int | None, option("C")] = None,
    num_classes: Annotated[int | None, option("N")] = None,
    spec: Annotated[str | None, option("SPEC")] = None,
    depth: Annotated[int | None, option("N")] = None,
    json: bool = False,
) -> None:
    """List a network's layers: output shape, parameters, multiply-adds and receptive field.

    Counts are for one image. The receptive field is that of the main path, without image borders.

    Example: cnnjax summary resnet50 --input-size 192x256 --depth 1

    Args:
        network: a name from `cnnjax models`.
        input_size: pixels, N or HxW; by default what the network was made for.
        channels: channels of the images; by default what the network was made for.
        num_classes: classes to tell apart; by default what the network was made for.
        spec: the layers of the network `cnn`, such as conv32-relu-pool-fc10.
        depth: join the layers of modules that lie deeper than this.
        json: print JSON.
    """
    if depth is not None:
        bounded("depth", depth, 1, 100)
    overrides = {"num_classes": num_classes, "spec": spec}
    model = build(network, **{key: value for key, value in overrides.items() if value is not None})
    shape = image_shape(network, input_size, channels)
    layers = summarise(model, shape)
    total = layers.total
    if depth is not None:
        layers = layers.collapsed(depth)
    if json:
        print_json(
            {
                "network": network,
                "image_shape": shape,
                "layers": [_entry(layer) for layer in layers.layers],
                "total": vars(total),
            }
        )
        return
    _print(f"{network}, images {_size(shape)}", layers)


def image_shape(
    network: str, input_size: str | None = None, channels: int | None = None
) -> tuple[int, int, int]:
    """Return `(H, W, C)` from what was asked for, N or HxW, and what the network was made for.

    Raises:
        BadArgument: for a size that is neither, or not positive.

    >>> image_shape("resnet18", "192x256")
    (192, 256, 3)
    """
    facts = facts_of(network)
    text = str(facts.input_size) if input_size is None else input_size
    sides = text.lower().split("x")
    channels = facts.channels if channels is None else channels
    if len(sides) > 2 or not all(re.fullmatch("[0-9]{1,9}", side) for side in sides):
        raise BadArgument(f"input_size: received {text!r}, allowed: N or HxW, in pixels")
    for side in sides:
        bounded("input_size", int(side), 1, MOST_PIXELS)
    return int(sides[0]), int(sides[-1]), bounded("channels", channels, 1, MOST_CHANNELS)


def _print(title: str, layers: Summary) -> None:
    total = layers.total
    print_table(
        ["layer", "kind", ">output", ">parameters", ">mult-adds", ">field", ">stride"],
        [_cells(layer) for layer in layers.layers],
        title=title,
        totals=["total", "", "", f"{total.parameters:,}", f"{total.multiply_adds:,}", "", ""],
        styles=["" if layer.parameters else "dim" for layer in layers.layers],
        spare=(">stride", ">field", ">output", "kind"),
    )
    console().print(
        f"\n{total.batch_statistics:,} batch statistics. Parameters take "
        f"{total.parameters * 4 / 2**20:,.1f} MiB in float32. field: receptive field, in pixels.",
        style="dim",
    )


def _cells(layer: Layer) -> list[str]:
    return [
        layer.name if layer.parameters else "",  # a function between modules
        layer.kind,
        _size(layer.output_shape or ()),
        whole(layer.parameters),
        whole(layer.multiply_adds),
        _sides(layer.receptive_field) if layer.output_shape else "",
        _sides(layer.stride) if layer.stride[0] or layer.stride[1] else "",
    ]


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _sides(sides: tuple[float | None, float | None]) -> str:
    texts = ["all" if side is None else f"{side:g}" for side in sides]
    return texts[0] if texts[0] == texts[1] else "x".join(texts)


def _entry(layer: Layer) -> dict[str, Any]:
    values = vars(layer).copy()
    del values["path"]
    return {"name": layer.name, **values}
