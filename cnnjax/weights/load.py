"""Load published weights into one of our networks, checked name by name and shape by shape."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.preprocessing import LARGEST_SIDE
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable
from cnnjax.models import build, facts_of
from cnnjax.typing import Key
from cnnjax.weights.about import FLOAT32, About, checked_fields
from cnnjax.weights.adapt import (
    Shapes,
    check_fit,
    expected_variables,
    own_channels,
    with_channels,
    with_head,
    without_auxiliary_heads,
)
from cnnjax.weights.names import SOURCES, names_of, renamed, shapes_of, source_of
from cnnjax.weights.names.lukemelas import TENSORFLOW_BORN
from cnnjax.weights.source import Found, Source, opened_source, said_network
from cnnjax.weights.torch_names import from_state_dict, torch_shapes

__all__ = ["Loaded", "load_model", "load_own", "load_weights", "load_with_facts"]

_log = logging.getLogger("cnnjax")


def load_weights(
    name: str,
    source: Source,
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | tuple[int, int] | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Return the weights in `source` as the variables of the network `name`.

    `source` is a file of safetensors or `torch.save`, whatever its name, with torchvision's or
    timm's names, whichever of them has the network, wrapped as training loops leave them; where it
    has several weights, `"last.ckpt#state_dict_ema"` takes those under that key or prefix. Or it is
    a directory that `cnnjax train` left, a hub id such as "timm/resnet50.a1_in1k" (extra `hub`),
    "package" for a network in `PACKAGES` whose weights a Python package carries (extra
    `pretrained`), or a state dict of arrays. The result has the structure, shapes and dtypes of
    `build(name, num_classes=num_classes, **overrides).init(...)`.

    Weights of the lite networks that were trained in TensorFlow belong to `padding="SAME"` and
    `epsilon=1e-3`: `load_model` builds the network so, and this function says it as a warning.

    `num_classes` None takes the file's number of classes. Another number than the file's keeps the
    file's backbone and makes a new head, which is logged as a warning: linear layers start at 0,
    convolutions small, drawn from `key` (`jax.random.key(0)` where None). `channels` (the file's
    own where None) other than the file's adapts the first kernel, where that is for three: one
    channel sums it, so that a grey image gives what its three equal channels gave; more cycle
    through it, scaled by `3 / channels`, as timm does. `pixels` is the side of the images, or
    (height, width), on which the linear layers of `lenet5` and `cnn` depend (the file's own where
    None, or the network's). Auxiliary heads that the network does not have, and
    `num_batches_tracked`, are ignored.

    Raises `BadArgument` listing every missing, unexpected and misshapen name, or for a source that
    is no file of weights; `Failed` for a damaged file, weights that are not finite, or a failed
    download.
    """
    model, variables = load_model(
        name,
        source,
        num_classes=num_classes,
        channels=channels,
        pixels=pixels,
        key=key,
        **overrides,
    )
    given = build(name, **overrides)
    changed = [f for f in TENSORFLOW_BORN if getattr(model, f, None) != getattr(given, f, None)]
    if changed:
        fields = ", ".join(f"{field}={getattr(model, field)!r}" for field in changed)
        _log.warning(
            "%s: these weights belong to the network with %s, which load_model builds", name, fields
        )
    return variables


def load_model(
    name: str,
    source: Source,
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | tuple[int, int] | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return the network, built as the weights need it, and what `load_weights` does.

    It has the file's number of classes; the fields, channels and image size that the file's `About`
    names; and for TensorFlow's weights of a lite network the padding and epsilon that these were
    trained with; all unless the arguments say otherwise.
    """
    found = load_with_facts(
        name,
        source,
        num_classes=num_classes,
        channels=channels,
        pixels=pixels,
        key=key,
        **overrides,
    )
    return found.model, found.variables


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A network with weights, and what is known of them.

    Attributes:
        network: the name that builds the model; "" for a module of the user's.
        model: the Linen module, built as the weights need it.
        variables: as `model.init` structures them.
        image_shape: `(H, W, C)` of the images that it takes.
        about: what the file says; None where it says nothing.
        has_new_head: whether the head is not the file's.
        tensorflow_born: whether they are Google's weights of a lite network.
    """

    network: str
    model: Any
    variables: dict[str, Any]
    image_shape: tuple[int, int, int]
    about: About | None
    has_new_head: bool
    tensorflow_born: bool


def load_with_facts(
    name: str,
    source: Source,
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | tuple[int, int] | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> Loaded:
    """Return what `load_model` does, and what the source says; arguments and errors as there.

    The name "" stands for the one that the file says.
    """
    if name:
        build(name)  # an unknown name is said before anything is looked for
    key = _checked_key(key)
    _check_size(channels, pixels)
    with opened_source(name, source) as found:
        name = name or said_network(found)
        return _fitted(name, found, num_classes, channels, pixels, key, overrides)


def load_own(model: Any, source: Source) -> Loaded:
    """Return what `save_weights` wrote of a module of the user's, which no name builds.

    Args:
        model: the Linen module, as it was then.
        source: the file, or its directory.

    Raises:
        BadArgument: for weights that do not fit the module, or that do not say what they are for.
        Failed: for a damaged file.
    """
    with opened_source("", source) as found:
        if found.about is None:
            raise BadArgument(
                f"{found.label} does not say how images are prepared and what the classes are "
                "called; allowed: what Classifier.save or save_weights(..., about=...) wrote"
            )
        shape = found.about.preprocessing.image_shape
        expected = _expected(model, shape, None, found.label)
        state = found.read(torch_shapes(expected), ())
        state = {n: array for n, array in state.items() if not n.endswith("num_batches_tracked")}
        what = f"{found.label} does not fit {type(model).__name__}"
        check_fit(what, _shapes(state), torch_shapes(expected))
        _check_numbers(found.label, state)
        variables = from_state_dict(state, expected)
        return Loaded("", model, variables, shape, found.about, False, False)


def _fitted(
    name: str,
    found: Found,
    num_classes: int | None,
    channels: int | None,
    pixels: int | tuple[int, int] | None,
    key: Key,
    overrides: dict[str, Any],
) -> Loaded:
    usual, label, about = build(name), found.label, found.about
    shape = _image_shape(name, channels, pixels, about)
    if about is not None:
        dtype = {} if about.dtype == FLOAT32 else {"dtype": jnp.dtype(about.dtype).type}
        overrides = {**_fields(name, usual, about, label), **dtype, **overrides}
    asked = {} if num_classes is None else {"num_classes": num_classes}
    model = build(name, **{**overrides, **asked})
    expected = _expected(model, shape, about, label)
    names = torch_shapes(expected)
    read = found.read(names, [names_of(each, name, names).values() for each in SOURCES])
    state = {n: array for n, array in read.items() if not n.endswith("num_batches_tracked")}
    publisher = source_of(name, state, torch_shapes(expected))
    there = names_of(publisher, name, torch_shapes(expected))
    state = renamed(state, {theirs: ours for ours, theirs in there.items()})
    born = publisher == "lukemelas"
    if born and set(TENSORFLOW_BORN) <= {field.name for field in dataclasses.fields(usual)}:
        model = build(name, **{**TENSORFLOW_BORN, **overrides, **asked})
    state = without_auxiliary_heads(state, torch_shapes(expected))
    new: dict[str, np.ndarray] = {}
    if _shapes(state) != torch_shapes(expected):
        if channels is None and about is None:
            shape = (*shape[:2], own_channels(model, shape, _shapes(state)) or shape[2])
        model, new = with_head(model, _shapes(state), shape, bool(asked), key)
        expected = _expected(model, shape, about, label)
        state = with_channels(state | new, torch_shapes(expected), shape[2])
    network = "" if about is None or about.network == name else about.network
    what = f"{label} does not fit {name}"
    held, wanted = (shapes_of(each, there) for each in (_shapes(state), torch_shapes(expected)))
    check_fit(what, held, wanted, printable(network))
    _check_numbers(label, state)
    if new:
        words = "%s: %s has no head for %d classes; initialized: %s"
        _log.warning(words, name, label, model.num_classes, ", ".join(sorted(new)))
    elif about is not None and len(about.class_names) != model.num_classes:
        raise Failed(
            f"{label}: damaged: it names {len(about.class_names)} classes, its network tells "
            f"{model.num_classes} apart"
        )
    variables = from_state_dict(state, expected)
    return Loaded(name, model, variables, shape, about, bool(new), born)


def _image_shape(
    name: str,
    channels: int | None,
    pixels: int | tuple[int, int] | None,
    about: About | None,
) -> tuple[int, int, int]:
    """Return `(H, W, C)`: as asked for, else as the file says, else as the network's table does."""
    facts = facts_of(name)
    known = (facts.input_size, facts.input_size, facts.channels)
    height, width, own = known if about is None else about.preprocessing.image_shape
    if pixels is not None:
        height, width = pixels if isinstance(pixels, tuple) else (pixels, pixels)
    return height, width, own if channels is None else channels


def _check_size(channels: int | None, pixels: int | tuple[int, int] | None) -> None:
    if pixels is not None:
        sides = pixels if isinstance(pixels, tuple) else (pixels, pixels)
        if len(sides) != 2 or not all(map(_is_size, sides)):
            raise BadArgument(f"pixels: received {pixels!r}, allowed: 1..{LARGEST_SIDE}, or two")
    if channels is not None and not _is_size(channels):
        raise BadArgument(f"channels: received {channels!r}, allowed: integers 1..{LARGEST_SIDE}")


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_SIDE


def _checked_key(key: Key | None) -> Key:
    if key is None:
        return jax.random.key(0)
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise BadArgument(f"key: received {key!r}, allowed: what jax.random.key returns")
    return key


def _fields(name: str, usual: Any, about: About, label: str) -> dict[str, Any]:
    """Return the fields that a file names, if they are the network's."""
    own = {field.name for field in dataclasses.fields(usual)} - {"name", "parent"}  # of Linen
    strange = about.fields.keys() - own
    if strange:
        fields = printable(", ".join(sorted(strange)))
        whose = printable(about.network) or "another network"
        raise BadArgument(
            f"{label} does not fit {name}: these are weights of {whose}, built with {fields}, "
            f"which {name} does not have"
        )
    return checked_fields(about, usual, label)


def _expected(model: Any, shape: tuple[int, int, int], about: About | None, label: str) -> Any:
    """Return what `expected_variables` does; `Failed` where the file's fields build no network."""
    try:
        return expected_variables(model, shape)
    except BadArgument:
        raise
    except Exception as error:  # whatever a field of an impossible value does when it is traced
        if about is None or not about.fields:
            raise
        reason = printable(str(error).partition("\n")[0] or type(error).__name__)
        raise Failed(f"{label}: the fields that it names build no network: {reason}") from error


def _shapes(state: Mapping[str, np.ndarray]) -> Shapes:
    return {name: array.shape for name, array in state.items()}


def _check_numbers(label: str, state: Mapping[str, np.ndarray]) -> None:
    """Raise `Failed` for weights that are not finite in float32."""
    for name, array in state.items():
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32)).all()
        if not finite:
            raise Failed(
                f"{label}: {printable(name)} has values that are not finite, such as NaN; "
                "these weights compute nothing"
            )
