"""Load published weights into one of our networks, checked name by name and shape by shape."""

import dataclasses
import logging
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnjax.errors import BadArgument
from cnnjax.models import MODELS, build, name_of
from cnnjax.typing import Key
from cnnjax.weights.about import read_about
from cnnjax.weights.efficientnet_names import (
    TENSORFLOW_BORN,
    is_numbered_through,
    to_timm_names,
)
from cnnjax.weights.hub import download, is_hub_id
from cnnjax.weights.packages import PACKAGE, package_file
from cnnjax.weights.read import SUFFIXES, read_state_dict, split_choice
from cnnjax.weights.torch_names import from_state_dict, to_state_dict, torch_names, torch_shapes

__all__ = ["head_of", "load_model", "load_weights"]

_log = logging.getLogger("cnnjax")
# Auxiliary heads of googlenet and inception_v3, which their files hold and most models do not.
_AUXILIARY = re.compile(r"(aux\d|AuxLogits)\.")

Shapes = dict[str, tuple[int, ...]]


def load_weights(
    name: str,
    source: str | Path | Mapping[str, np.ndarray],
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Return the weights in `source` as the variables of the network `name`.

    `source` is a `.safetensors`, `.pth` or `.pt` file with the reference's (torchvision's or
    timm's) names, a hub id such as "timm/resnet50.a1_in1k" (extra `hub`), "package" for a network
    in `PACKAGES` whose weights a Python package carries (extra `pretrained`), or a state dict of
    arrays. The result has the structure, shapes and dtypes of
    `build(name, num_classes=num_classes, **overrides).init(...)`.

    Weights of the lite networks that were trained in TensorFlow belong to `padding="SAME"` and
    `epsilon=1e-3`: `load_model` builds the network so, and this function says it as a warning.

    `num_classes` None takes the file's number of classes. Another number than the file's keeps the
    file's backbone and initialises the head from `key` (`jax.random.key(0)` where None), which is
    logged as a warning. `channels` (the network's own where None) other than the file's adapts the
    first kernel: one channel sums it, so that a grey image gives what its three equal channels
    gave; more cycle through it, scaled by `3 / channels`, as timm does. `pixels` is the side of the
    images, on which the linear layers of `lenet5` and `cnn` depend (the network's own where None).
    Auxiliary heads that the network does not have, and `num_batches_tracked`, are ignored.

    Raises `BadArgument` listing every missing, unexpected and misshapen name, or for a source that
    is no file of weights; `Failed` for a damaged file or failed download.
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
    source: str | Path | Mapping[str, np.ndarray],
    *,
    num_classes: int | None = None,
    channels: int | None = None,
    pixels: int | None = None,
    key: Key | None = None,
    **overrides: Any,
) -> tuple[Any, dict[str, Any]]:
    """Return the network, built as the weights need it, and what `load_weights` does.

    It has the file's number of classes; the fields, channels and image size that the file's `About`
    names; and for TensorFlow's weights of a lite network the padding and epsilon that these were
    trained with; all unless the arguments say otherwise.
    """
    label = "the state dict" if isinstance(source, Mapping) else str(source)
    if (about := read_about(source)) is not None:
        overrides = {**about.fields, **overrides}
        channels = len(about.preprocessing.mean) if channels is None else channels
        pixels = about.preprocessing.size if pixels is None else pixels
    if num_classes is not None:
        overrides["num_classes"] = num_classes
    model = build(name, **overrides)
    channels = MODELS[name].channels if channels is None else channels
    images = _images(name, channels, pixels)
    read = _read(name, source, torch_shapes(_expect(model, images)))
    state = {n: a for n, a in read.items() if not n.endswith("num_batches_tracked")}
    if is_numbered_through(state):
        if set(TENSORFLOW_BORN) <= {f.name for f in dataclasses.fields(model)}:
            overrides = {**TENSORFLOW_BORN, **overrides}
            model = build(name, **overrides)
        state = to_timm_names(state, torch_shapes(_expect(model, images)))
    expected, head = _expect(model, images), _head(model, images)
    shapes = torch_shapes(expected)

    held = {n: state[n].shape for n in head if n in state}
    if num_classes is None and set(held) == head:
        counts = {shape[0] for n, shape in held.items() if shape and shape != shapes[n]}
        if len(counts) == 1:  # a file for another number of classes
            model = build(name, **{**overrides, "num_classes": counts.pop()})
            expected = _expect(model, images)
            shapes = torch_shapes(expected)
    if num_classes is not None and all(held.get(n) != shapes[n] for n in head):
        _log.warning(
            "%s: %s has no head for %d classes; initialised: %s",
            name,
            label,
            num_classes,
            ", ".join(sorted(head)),
        )
        state |= _initialised(model, images, head, key)

    for kernel, shape in shapes.items():
        if kernel in state:
            state[kernel] = _adapt_channels(state[kernel], shape, channels)
    state = {n: a for n, a in state.items() if n in shapes or not _AUXILIARY.match(n)}
    _check(f"{label} does not fit {name}", {n: a.shape for n, a in state.items()}, shapes)
    return model, from_state_dict(state, expected)


def _read(
    name: str, source: str | Path | Mapping[str, np.ndarray], expected: Collection[str]
) -> dict[str, np.ndarray]:
    if isinstance(source, Mapping):
        return dict(source)
    if source == PACKAGE:
        return read_state_dict(package_file(name), expected=expected)
    file, prefix = split_choice(source)
    if Path(file).suffix.lower() in SUFFIXES or os.path.lexists(file):
        return read_state_dict(source, expected=expected)
    if is_hub_id(file):
        found = download(file)
        return read_state_dict(found if prefix is None else f"{found}#{prefix}", expected=expected)
    raise BadArgument(
        f"source is {str(source)!r}; it must be a file ending in {', '.join(SUFFIXES)}, a hub "
        f"id like timm/resnet50.a1_in1k, or {PACKAGE!r}"
    )


def _images(name: str, channels: int | None, pixels: int | None) -> jax.ShapeDtypeStruct:
    size = MODELS[name].input_size if pixels is None else pixels
    channels = MODELS[name].channels if channels is None else channels
    return jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)


def _expect(model: Any, images: jax.ShapeDtypeStruct) -> Any:
    """Return the shapes and dtypes that `model.init` gives."""
    return jax.eval_shape(
        lambda key, images: model.init(key, images, train=False), jax.random.key(0), images
    )


def _head(model: Any, images: jax.ShapeDtypeStruct) -> set[str]:
    """Return the names whose shape depends on the number of classes."""
    more = torch_shapes(_expect(model.clone(num_classes=model.num_classes + 1), images))
    shapes = torch_shapes(_expect(model, images))
    return {name for name in shapes if more[name] != shapes[name]}


def head_of(model: Any, channels: int | None = None) -> tuple[str, ...]:
    """Return the submodules that depend on the number of classes, as `Recipe.head` takes them.

    >>> head_of(build("efficientnet_lite0"))
    ('classifier',)
    """
    images = _images(name_of(model), channels, None)
    names, paths = _head(model, images), torch_names(_expect(model, images))
    return tuple(sorted({path[1] for path, name in paths.items() if name in names}))


def _initialised(
    model: Any, images: jax.ShapeDtypeStruct, names: set[str], key: Key | None
) -> dict[str, np.ndarray]:
    """Return freshly initialised leaves, of these torch names alone."""
    key = jax.random.key(0) if key is None else key

    @jax.jit
    def init(key: Key) -> dict[tuple[str, ...], jax.Array]:
        variables = model.init(key, jnp.zeros(images.shape, images.dtype), train=False)
        wanted = {path for path, name in torch_names(variables).items() if name in names}
        return {path: a for path, a in flatten_dict(variables).items() if path in wanted}

    # Compiled, so that XLA drops the backbone, which nobody asks for.
    return to_state_dict(unflatten_dict(init(key)))


def _adapt_channels(kernel: np.ndarray, shape: tuple[int, ...], channels: int) -> np.ndarray:
    """Return a kernel `[O, I, kh, kw]` for `channels` inputs where only that axis differs."""
    if kernel.ndim != 4 or kernel.shape == shape or shape[1] != channels or kernel.shape[1] != 3:
        return kernel
    if (kernel.shape[0], *kernel.shape[2:]) != (shape[0], *shape[2:]):
        return kernel
    kernel = kernel.astype(np.float32)
    if channels == 1:
        return kernel.sum(1, keepdims=True)
    return kernel[:, np.arange(channels) % 3] * np.float32(3 / channels)


def _check(what: str, found: Shapes, expected: Shapes) -> None:
    """Raise `BadArgument` that says everything in which two sets of names and shapes differ."""
    misshapen = [
        f"{name} is {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    kinds = {
        "missing": [f"{n} {s}" for n, s in expected.items() if n not in found],
        "unexpected": [f"{n} {s}" for n, s in found.items() if n not in expected],
        "misshapen": misshapen,
    }
    problems = [f"{len(names)} {kind}: {_shorten(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise BadArgument(f"{what}; " + "; ".join(problems))


def _shorten(names: list[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
