"""`cnnjax export`: a network as a file that runs without this library."""

from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import tyro

from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.summary import image_shape
from cnnjax.errors import BadArgument
from cnnjax.files import replacing
from cnnjax.models import build
from cnnjax.weights import load_model
from cnnjax.weights.export import export_network

__all__ = ["export"]


def export(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    *,
    out: Annotated[Path, metavar("FILE")],
    weights: Annotated[str | None, option("SOURCE")] = None,
    batch: Annotated[str, metavar("N|any")] = "1",
    platforms: Annotated[str, metavar("NAMES")] = "cpu",
    input_size: Annotated[str | None, option("N|HxW")] = None,
    num_classes: Annotated[int | None, option("N")] = None,
) -> None:
    """Write a network's evaluation as a program that `jax.export.deserialize` reads.

    With weights they are part of it: `.call(images)`. Without, it takes variables as
    `cnnjax.build(NETWORK).init` structures them: `.call(variables, images)`. Images are float32
    [batch, H, W, C], normalised; the result is logits [batch, classes].

    Example: cnnjax export efficientnet_lite0 --weights package --platforms cpu,cuda --out lite0.jax

    Args:
        network: a name from `cnnjax models`.
        out: the file to write.
        weights: package (what `cnnjax[pretrained]` installs), a .safetensors, .pth or .pt file,
            or a hub id; by default the weights stay arguments of the program.
        batch: images a call; any: not fixed.
        platforms: cpu, cuda, rocm, tpu, with commas between.
        input_size: pixels, N or HxW; by default what the network was made for.
        num_classes: classes to tell apart; by default those of the weights, else the network's.
    """
    if batch != "any" and not (batch.isdecimal() and int(batch) > 0):
        raise BadArgument(f"batch: received {batch!r}, allowed: integers from 1, any")
    classes = {} if num_classes is None else {"num_classes": num_classes}
    model = build(network, **classes)
    shape = image_shape(network, input_size)
    if weights is None:
        images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
        key = jax.eval_shape(lambda: jax.random.key(0))
        variables = jax.eval_shape(lambda k, x: model.init(k, x, train=False), key, images)
    else:
        model, variables = load_model(network, weights, num_classes=num_classes)
    names = [name.strip() for name in platforms.split(",") if name.strip()]
    data = export_network(
        model,
        variables,
        shape,
        batch=None if batch == "any" else int(batch),
        platforms=names,
        baked=weights is not None,
    )
    with replacing(out) as stream:
        stream.write(data)
    takes = "images" if weights is not None else "variables, images"
    size = "x".join(map(str, shape))
    print(
        f"{out}: {len(data) / 2**20:.1f} MiB for {', '.join(names)}; "
        f"call({takes}) with images {'any' if batch == 'any' else batch}x{size}"
    )
