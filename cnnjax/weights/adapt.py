"""Weights brought to a network that differs from theirs in classes or in channels of the images."""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.models import MODELS, facts_of
from cnnjax.typing import Key
from cnnjax.weights.torch_names import torch_names, torch_shapes

__all__ = [
    "Shapes",
    "adapted_kernel",
    "check_fit",
    "class_dependent",
    "expected_variables",
    "head_of",
    "new_head",
    "own_channels",
    "with_channels",
    "with_head",
    "without_auxiliary_heads",
]

# Auxiliary heads of googlenet and inception_v3, which their files hold and most models do not.
_AUXILIARY = re.compile(r"(aux\d|AuxLogits)\.")

Shapes = Mapping[str, tuple[int, ...]]
"""Names in a PyTorch file and the shapes there."""


def expected_variables(model: Any, image_shape: Sequence[int]) -> Any:
    """Return the shapes and dtypes that `model.init` gives for images `(H, W, C)`."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(
        lambda key, images: model.init(key, images, train=False), jax.random.key(0), images
    )


def class_dependent(model: Any, image_shape: Sequence[int]) -> set[str]:
    """Return the names whose shape depends on the number of classes: those of the head."""
    shapes = torch_shapes(expected_variables(model, image_shape))
    more = model.clone(num_classes=model.num_classes + 1)
    return _differing(shapes, torch_shapes(expected_variables(more, image_shape)))


def _differing(shapes: Shapes, others: Shapes) -> set[str]:
    return {name for name in shapes if others[name] != shapes[name]}


def head_of(model: Any, image_shape: Sequence[int] = (224, 224, 3)) -> tuple[str, ...]:
    """Return the submodules that depend on the number of classes, for `train.backbone_and`.

    Args:
        model: a Linen module with a field `num_classes`.
        image_shape: `(H, W, C)`, any that it accepts.

    Raises:
        BadArgument: for a module without that field, or without such submodules.

    >>> from cnnjax import build
    >>> head_of(build("efficientnet_lite0"))
    ('classifier',)
    """
    if not isinstance(getattr(model, "num_classes", None), int):
        raise BadArgument(
            f"model: {type(model).__name__} has no field num_classes; name its head in "
            "Recipe.groups"
        )
    names, paths = (
        class_dependent(model, image_shape),
        torch_names(expected_variables(model, image_shape)),
    )
    found = tuple(sorted({path[1] for path, name in paths.items() if name in names}))
    if not found:
        raise BadArgument(f"model: no submodule of {type(model).__name__} depends on num_classes")
    return found


def new_head(shapes: Shapes, key: Key) -> dict[str, np.ndarray]:
    """Return a head for another task: linear layers at 0, so that the first loss is ln(classes).

    What the paper draws for training from scratch may be 25 times the scale of a linear layer's
    default, which ruins a short training of the weights below (`experiments/results/new_head`:
    28.6 % after 20 steps as drawn, 40.4 % at the default scale, 42.9 % from 0). A convolution may
    be followed by a ReLU, which passes no gradient at 0: its kernel is uniform in
    +-1 / sqrt(fan in).

    Args:
        shapes: of the head's tensors, kernels and biases.
        key: for kernels of convolutions; every name has a draw of its own.

    Returns:
        float32 arrays by name.
    """
    head = {}
    for name, shape in shapes.items():
        head[name] = np.zeros(shape, np.float32)
        if len(shape) == 4:
            bound = prod(shape[1:]) ** -0.5
            own = jax.random.fold_in(key, zlib.crc32(name.encode()))
            head[name] = np.asarray(jax.random.uniform(own, shape, minval=-bound, maxval=bound))
    return head


def with_head(
    model: Any, found: Shapes, shape: Sequence[int], asked: bool, key: Key
) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the model with the weights' number of classes, or a new head where another was asked.

    Args:
        model: the network; where a number of classes was asked for, with that.
        found: the shapes of the weights.
        shape: `(H, W, C)` of the images.
        asked: whether the number of classes was asked for, and is not to be the weights'.
        key: for what is drawn of a new head.

    Returns:
        The model, and the tensors of a new head; none where the weights' own is kept.
    """
    shapes, head = torch_shapes(expected_variables(model, shape)), class_dependent(model, shape)
    held = {n: s for n, s in found.items() if n in head}
    if asked:
        fits = any(held.get(n) == shapes[n] for n in head)
        return model, {} if fits else new_head({n: shapes[n] for n in head}, key)
    counts = {s[0] for n, s in held.items() if s and s != shapes[n]}
    if set(held) == head and len(counts) == 1 and (count := counts.pop()) > 0:
        model = model.clone(num_classes=count)
    return model, {}


def with_channels(
    state: Mapping[str, np.ndarray], expected: Shapes, channels: int
) -> dict[str, np.ndarray]:
    """Return tensors with a first kernel for so many channels; see `adapted_kernel`.

    Args:
        state: tensors by name.
        expected: the network's shapes.
        channels: of the images.
    """
    return {
        name: adapted_kernel(array, expected[name], channels) if name in expected else array
        for name, array in state.items()
    }


def own_channels(model: Any, image_shape: Sequence[int], found: Shapes) -> int | None:
    """Return the channels of the images that weights are for; None where they do not tell.

    Args:
        model: the network that they are for.
        image_shape: `(H, W, C)`, with any channels.
        found: the shapes of the weights.
    """
    *size, channels = image_shape
    here = torch_shapes(expected_variables(model, image_shape))
    more = torch_shapes(expected_variables(model, (*size, channels + 1)))
    candidates = set()
    for name in _differing(here, more):
        if len(found.get(name, ())) != len(here[name]):
            return None
        for had, has, held in zip(here[name], more[name], found[name], strict=True):
            if has != had:  # a size that grows by as much with every channel
                candidates.add(channels + (held - had) / (has - had))
    count = candidates.pop() if len(candidates) == 1 else 0
    return int(count) if count >= 1 and count == int(count) else None


def adapted_kernel(kernel: np.ndarray, shape: tuple[int, ...], channels: int) -> np.ndarray:
    """Return a kernel `[O, 3, kh, kw]` for images of other channels, where only that differs.

    One channel sums it, so that a grey image gives what its three equal channels gave; more cycle
    through it, scaled by `3 / channels`, as timm does.

    Args:
        kernel: of any shape.
        shape: what it is to become; another than `[O, channels, kh, kw]` leaves it as it is.
        channels: of the images.
    """
    if kernel.ndim != 4 or kernel.shape == shape or kernel.shape[1] != 3:
        return kernel
    if (kernel.shape[0], channels, *kernel.shape[2:]) != shape:
        return kernel
    kernel = kernel.astype(np.float32)
    if channels == 1:
        return kernel.sum(1, keepdims=True)
    return kernel[:, np.arange(channels) % 3] * np.float32(3 / channels)


def without_auxiliary_heads(
    state: Mapping[str, np.ndarray], expected: Iterable[str]
) -> dict[str, np.ndarray]:
    """Return the tensors without those of auxiliary heads that the network does not have."""
    names = set(expected)
    return {n: array for n, array in state.items() if n in names or not _AUXILIARY.match(n)}


def check_fit(what: str, found: Shapes, expected: Shapes, network: str = "") -> None:
    """Raise `BadArgument` that says everything in which two sets of names and shapes differ.

    Args:
        what: the beginning of the message.
        found: the weights'.
        expected: the network's.
        network: the one that the weights say they are for, or "".
    """
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
        whose = [network] if network else _with_counts_of(found)
        hint = [f"these are weights of {' or '.join(whose)}"] if whose else []
        raise BadArgument("; ".join([what, *problems, *hint]))


def _with_counts_of(found: Shapes) -> list[str]:
    """Return the networks with as many parameters and batch statistics, if they are few."""
    found = {name: shape for name, shape in found.items() if not _AUXILIARY.match(name)}
    sizes = {name: prod(shape) for name, shape in found.items()}
    statistics = sum(size for name, size in sizes.items() if ".running_" in name)
    counts = (sum(sizes.values()) - statistics, statistics)
    facts = {name: facts_of(name) for name in MODELS}
    names = [n for n, of in facts.items() if (of.parameters, of.batch_statistics) == counts]
    return names if len(names) <= 5 else []


def _shorten(names: list[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
