"""`cnnjax explain`: what on a photograph speaks for a class."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from cnnjax.analysis.attribution import class_scores, grad_cam, integrated_gradients
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.predict import names_of, read_prepared
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing
from cnnjax.plot import attribution_panels, filter_grid
from cnnjax.plot.attribution import overlay, signed
from cnnjax.weights import PACKAGE, load_model, preprocessing_of

__all__ = ["explain"]


def explain(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")],
    image: Annotated[Path, tyro.conf.Positional, metavar("IMAGE")],
    *,
    out: Annotated[Path, metavar("FILE.png")],
    target: Annotated[str | None, option("CLASS")] = None,
    weights: Annotated[str, metavar("SOURCE")] = PACKAGE,
    stage: Annotated[str | None, option("STAGE")] = None,
    steps: Annotated[int, metavar("N")] = 32,
    filters: Annotated[Path | None, option("FILE.png")] = None,
) -> None:
    """Draw what on a photograph speaks for a class: Grad-CAM and integrated gradients.

    The picture has the image as the network sees it, the places that Grad-CAM finds (light: much
    evidence), and the pixels that integrated gradients find (red: for the class, blue: against).

    Example: cnnjax explain efficientnet_lite0 cat.png --target tabby --out cat_explained.png

    Args:
        network: a name from `cnnjax models`.
        image: an image file.
        out: the picture to write.
        target: name or number of the class to explain; by default the likeliest.
        weights: package (what `cnnjax[pretrained]` installs), a .safetensors, .pth or .pt file,
            or a hub id such as timm/resnet50.a1_in1k.
        stage: the network's stage for Grad-CAM; by default the last.
        steps: points on the line that integrated gradients follow.
        filters: also draw the first layer's filters into this file.
    """
    for path in filter(None, (out, filters)):
        if path.suffix != ".png":
            raise BadArgument(
                f"out, filters: received {str(path)!r}, allowed: names ending in .png"
            )
    model, variables = load_model(network, weights)
    preprocessing = preprocessing_of(network, weights)
    names = names_of(network, weights, model.num_classes)
    pixels = jnp.asarray(read_prepared(image, preprocessing))[None]
    logits = jax.jit(lambda x: model.apply(variables, x, train=False))(pixels)
    likely = np.asarray(jax.nn.softmax(logits[0]), np.float64)
    index = int(np.argmax(likely)) if target is None else _find(target, names)
    classes = jnp.array([index])
    places = jax.jit(lambda x: grad_cam(model, variables, x, classes, stage=stage))(pixels)
    scores = class_scores(model, variables, classes)
    parts = jax.jit(lambda x: integrated_gradients(scores, x, steps=steps))(pixels)
    seen = np.asarray(pixels[0]) * np.array(preprocessing.std) + np.array(preprocessing.mean)
    figure = attribution_panels(
        {
            f"{image.name}\n{names[index]}, {likely[index]:.1%}": np.clip(seen, 0, 1),
            "Grad-CAM\nlight: evidence for the class": overlay(seen, np.asarray(places[0])),
            "integrated gradients\nred: for the class, blue: against": signed(np.asarray(parts[0])),
        }
    )
    _save(figure, out)
    print(f"{names[index]}, {likely[index]:.1%}; see {out}")
    if filters is not None:
        _save(filter_grid(_first_kernel(network, variables, len(preprocessing.mean))), filters)
        print(f"the first layer's filters are in {filters}")


def _find(target: str, names: Sequence[str]) -> int:
    """Return the class of that number or name."""
    if target.isdecimal() and int(target) < len(names) and target not in names:
        return int(target)
    folded = [name.casefold() for name in names]
    if target.casefold() in folded:
        return folded.index(target.casefold())
    near = difflib.get_close_matches(target.casefold(), folded, n=3)
    near += [name for name in folded if target.casefold() in name.split()]
    hint = f"; did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
    raise BadArgument(
        f"target: no class {target!r}{hint} (allowed: 0..{len(names) - 1}, or a class's name)"
    )


def _first_kernel(network: str, variables: Any, channels: int) -> np.ndarray:
    """Return the kernel `[kh, kw, C, O]` that the images go into."""
    for path, leaf in jax.tree.leaves_with_path(variables["params"]):
        at_images = leaf.ndim == 4 and leaf.shape[2] == channels and min(leaf.shape[:2]) > 1
        if at_images and "kernel" in jax.tree_util.keystr(path):
            return np.asarray(leaf)
    raise Failed(f"{network}: has no kernel on images of {channels} channels")


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=150, facecolor="white")
