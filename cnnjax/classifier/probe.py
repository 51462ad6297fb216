"""A linear classifier on the features of a fixed network, and its place as the network's head."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from cnnjax.analysis.probe import linear_classifier
from cnnjax.errors import BadArgument

__all__ = ["PENALTIES", "Probe", "fit_probe", "with_head"]

PENALTIES = tuple(10.0**power for power in range(-4, 3))

# Features that hardly vary would be blown up by dividing by their deviation.
_LEAST_DEVIATION = 1e-3


@dataclasses.dataclass(frozen=True)
class Probe:
    """A linear classifier: logits are `features @ kernel + bias`.

    Attributes:
        kernel: `[F, K]` float32.
        bias: `[K]` float32.
        penalty: that it was fitted with, on features of deviation 1.
    """

    kernel: np.ndarray
    bias: np.ndarray
    penalty: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return `[N, K]` of features `[N, F]`."""
        return features @ self.kernel + self.bias


def fit_probe(features: np.ndarray, labels: np.ndarray, classes: int, penalty: float) -> Probe:
    """Return the linear classifier with the least cross-entropy plus penalty.

    Features are shifted and scaled to mean 0 and deviation 1 for the fit, and the classifier back
    to the features as they are.

    Args:
        features: `[N, F]`.
        labels: `[N]` integers in 0..classes-1.
        classes: K.
        penalty: at least 0; see `cnnjax.analysis.probe.linear_classifier`.
    """
    center = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64) + _LEAST_DEVIATION
    scaled = ((features - center) / scale).astype(np.float32)
    found = linear_classifier(
        jnp.asarray(scaled), jnp.asarray(labels, jnp.int32), penalty, classes=classes
    )
    kernel = np.asarray(found["kernel"], np.float64) / scale[:, None]
    bias = np.asarray(found["bias"], np.float64) - center @ kernel
    return Probe(kernel.astype(np.float32), bias.astype(np.float32), penalty)


def with_head(variables: Mapping[str, Any], head: Sequence[str], probe: Probe) -> dict[str, Any]:
    """Return variables whose head is a probe, as LP-FT starts from.

    Args:
        variables: of a network, `{"params": ..., ...}`.
        head: the submodules that depend on the number of classes, of `cnnjax.weights.head_of`.
        probe: of the network's `pre_logits`.

    Raises:
        BadArgument: unless exactly one linear layer in them goes from these features to these
            classes.

    Source: Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution, arXiv:2202.10054.
    """
    places = [
        (name, *path) for name in head for path in _linear_layers(variables["params"][name], probe)
    ]
    if len(places) != 1:
        raise BadArgument(
            f"head: {', '.join(head)} has {len(places)} linear layers from {len(probe.kernel)} "
            f"features to {len(probe.bias)} classes, allowed: one"
        )
    new = {"kernel": jnp.asarray(probe.kernel), "bias": jnp.asarray(probe.bias)}
    return {**variables, "params": _replaced(variables["params"], places[0], new)}


def _linear_layers(tree: Any, probe: Probe) -> Iterator[tuple[str, ...]]:
    if not isinstance(tree, Mapping):
        return
    shapes = {name: np.shape(v) for name, v in tree.items() if not isinstance(v, Mapping)}
    if shapes == {"kernel": probe.kernel.shape, "bias": probe.bias.shape}:
        yield ()
    for name, inner in tree.items():
        yield from ((name, *path) for path in _linear_layers(inner, probe))


def _replaced(tree: Mapping[str, Any], path: Sequence[str], new: Any) -> dict[str, Any]:
    name, *rest = path
    return {**tree, name: _replaced(tree[name], rest, new) if rest else new}
