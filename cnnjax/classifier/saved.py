"""`load`: a classifier from what was saved, published or trained elsewhere."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnjax.classifier.classifier import Classifier
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable
from cnnjax.models import facts_of
from cnnjax.typing import Key
from cnnjax.weights.about import located
from cnnjax.weights.load import Loaded, load_own, load_with_facts
from cnnjax.weights.preprocessing import known_preprocessing
from cnnjax.weights.read import split_choice
from cnnjax.weights.source import Source

__all__ = ["load"]

_log = logging.getLogger("cnnjax")


def load(
    name: str | Path,
    source: Source | None = None,
    *,
    model: Any = None,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | tuple[int, int] | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> Classifier:
    """Return a network with the weights in `source`, and all that belongs to them.

    What the file says (`About`) comes before what the table of networks says of the weights that it
    names, and what the arguments say before both. Where a file says its network, as those do that
    `cnnjax train` and `Classifier.save` leave, its name may be left out:

        classifier = cnnjax.load("runs/cifar")
        classifier = cnnjax.load("efficientnet_lite0", "package")
        classifier = cnnjax.load("runs/mine", model=MyNetwork())

    Args:
        name: of `cnnjax.list_models()`; or else, alone, the file or directory.
        source: a file of weights, a directory that `cnnjax train` left, a hub id, "package", or a
            state dict; see `load_weights`.
        model: a Linen module of one's own, alone with what `Classifier.save` wrote of it.
        num_classes: None takes the file's; another number makes a new head, whose classes are
            "class 0", "class 1", ...
        channels: of the images; None takes the file's.
        pixels: side of the images, or `(height, width)`; None takes the file's.
        key: for what is drawn of a new head.
        **overrides: fields of the network's family.

    Raises:
        BadArgument: for weights that do not fit, a source that is none, or one that does not say
            its network where the name is left out.
        Failed: for a damaged file, or a failed download.
    """
    own, source = ("", name) if source is None else (str(name), source)
    options: dict[str, Any] = {
        "num_classes": num_classes,
        "channels": channels,
        "pixels": pixels,
        "key": key,
    }
    options |= overrides
    if not own:
        _check_is_there(source)
    if model is None:
        return _classifier(load_with_facts(own, source, **options), source, pixels)
    if own or any(value is not None for value in options.values()):
        given = [f"name={own!r}"] if own else [n for n, v in options.items() if v is not None]
        raise BadArgument(
            f"model: received with {', '.join(given)}, allowed: cnnjax.load(SOURCE, model=...)"
        )
    return _classifier(load_own(model, source), source, None)


def _check_is_there(source: Source) -> None:
    """Raise `BadArgument` where the only argument is no file or directory, such as a name."""
    if isinstance(source, Mapping):
        return
    file = str(located(source))
    if not os.path.lexists(split_choice(file)[0]):
        shown = printable(file)
        raise BadArgument(
            f"source: {shown!r} is no file or directory that says its network; allowed: one that "
            "`cnnjax train` or Classifier.save left, or cnnjax.load(NAME, SOURCE)"
        )


def _classifier(found: Loaded, source: Source, pixels: int | tuple[int, int] | None) -> Classifier:
    name, about = found.network, found.about
    own = known_preprocessing(name, source, about, found.tensorflow_born)
    asked = (pixels, pixels) if isinstance(pixels, int) else pixels
    height, width = own.image_shape[:2] if asked is None else asked
    names: tuple[str, ...] | None = None if about is None else about.class_names
    if names is None or found.has_new_head:
        names = _names(facts_of(name).dataset, found.model.num_classes, found.has_new_head)
    how = own.for_images(height, width, found.image_shape[2])
    return Classifier(found.model, found.variables, how, names, name)


def _names(dataset: str, number: int, is_new: bool) -> tuple[str, ...]:
    """Return names of the classes; where the package that has them is missing, numbers."""
    from cnnjax.data import class_names

    try:
        return class_names("" if is_new else dataset, number)
    except Failed as error:
        _log.warning("the classes are called by their numbers: %s", error)
        return class_names("", number)
