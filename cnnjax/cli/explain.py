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
from cnnjax.analysis.filters import first_filters
from cnnjax.classifier import Classifier, load
from cnnjax.cli.arguments import metavar, option
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable, replacing
from cnnjax.plot import attribution_panels, filter_grid
from cnnjax.plot.attribution import overlay, signed
from cnnjax.weights import PACKAGE

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
        weights: package (what `cnnjax[pretrained]` installs), a file, the directory of a
            training, or a hub id such as timm/resnet50.a1_in1k.
        stage: the network's stage for Grad-CAM; by default the last.
        steps: points on the line that integrated gradients follow.
        filters: also draw the first layer's filters into this file.
    """
    for path in filter(None, (out, filters)):
        if path.suffix != ".png":
            raise BadArgument(
                f"out, filters: received {str(path)!r}, allowed: names ending in .png"
            )
    if steps < 1:
        raise BadArgument(f"steps: received {steps}, allowed: integers from 1")
    classifier = load(network, weights)
    pixels = classifier.read(image)
    likely, names = classifier.probabilities(pixels), classifier.class_names
    index = int(np.argmax(likely)) if target is None else _find(target, names)
    found = f"{printable(names[index])}, {likely[index]:.1%}"
    panels = _panels(classifier, pixels, index, stage, steps)
    titles = (
        f"{printable(image.name)}\n{found}",
        "Grad-CAM\nlight: evidence for the class",
        "integrated gradients\nred: for the class, blue: against",
    )
    kernel = None if filters is None else _first_kernel(network, classifier)
    _save(attribution_panels(dict(zip(titles, panels, strict=True))), out)
    print(f"{found}; see {out}")
    if filters is not None and kernel is not None:
        _save(filter_grid(kernel), filters)
        print(f"the first layer's filters are in {filters}")


def _panels(
    classifier: Classifier, pixels: np.ndarray, index: int, stage: str | None, steps: int
) -> list[np.ndarray]:
    """Return the image as the network sees it, and where and what in it speaks for a class.

    Three pictures `[H, W, 1 or 3]`, uint8 or floats in 0..1, of an input `[H, W, C]`.
    """
    model, variables, how = classifier.model, classifier.variables, classifier.preprocessing
    images, classes = jnp.asarray(pixels)[None], jnp.array([index])
    places = jax.jit(lambda x: grad_cam(model, variables, x, classes, stage=stage))(images)
    scores = class_scores(model, variables, classes)
    parts = jax.jit(lambda x: integrated_gradients(scores, x, steps=steps))(images)
    seen = np.clip(pixels * np.array(how.std) + np.array(how.mean), 0, 1)
    return [seen, overlay(seen, np.asarray(places[0])), signed(np.asarray(parts[0]))]


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


def _first_kernel(network: str, classifier: Classifier) -> np.ndarray:
    """Return the kernel `[kh, kw, C, O]` that the images go into."""
    params = classifier.variables["params"]
    kernel = first_filters(classifier.model, classifier.image_shape, params)
    if kernel is None:
        raise Failed(f"filters: {network} begins with no convolution whose filters could be drawn")
    return kernel


def _save(figure: Any, path: Path) -> None:
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=150, facecolor="white")
