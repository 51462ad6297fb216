"""Losses: `(logits, targets) -> [B]`, one number per example; every gradient is jax's own.

Targets are distributions over classes. Of a margin, which knows one right class, the loss is the
mean over the classes that the targets weigh: for `[0, 1, 0]` that of the second.
"""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from cnnjax.typing import Array, Logits, Targets

__all__ = ["CrammerSinger", "CrossEntropy", "Loss", "OneVsAll", "smoothed"]


class Loss(Protocol):
    """What a run minimizes the mean of."""

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return the loss `[B]` of each example; logits and targets are `[B, K]`."""


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy between the targets and the softmax of the logits.

    `-sum_k t_k log softmax(z)_k`.
    """

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32, at least 0, of logits and targets `[B, K]`."""
        return _weighted(-jax.nn.log_softmax(logits), targets)


@dataclasses.dataclass(frozen=True)
class CrammerSinger:
    """The multi-class hinge of the right class's margin over the best other one.

    `sum_y t_y max(0, 1 + max_{j != y} z_j - z_y)`, or with the margin squared.

    Attributes:
        squared: differentiable where the margin is just met.

    Source: Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based
    Vector Machines" (2001), equation 4; squared: Lee and Lin, "A Study on L2-Loss (Squared
    Hinge-Loss) Multiclass SVM" (2013), equation 4.
    """

    squared: bool = False

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32, at least 0, of logits and targets `[B, K]`."""
        best = jax.nn.one_hot(logits.argmax(axis=-1), logits.shape[-1], dtype=bool)
        second = jnp.where(best, -jnp.inf, logits).max(axis=-1, keepdims=True)
        others = jnp.where(best, second, logits.max(axis=-1, keepdims=True))
        margins = jnp.maximum(0.0, 1 + others - logits)
        return _weighted(margins**2 if self.squared else margins, targets)


@dataclasses.dataclass(frozen=True)
class OneVsAll:
    """The sum over classes of the binary hinge of "this class or not".

    `sum_k t_k h(z_k) + (1 - t_k) h(-z_k)` with `h(z) = max(0, 1 - z)`, or its square.

    Attributes:
        squared: the square of each hinge.

    Source: Tang, "Deep Learning using Linear Support Vector Machines" (2013), section 2.
    """

    squared: bool = False

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32, at least 0, of logits and targets `[B, K]`."""
        power = 2 if self.squared else 1
        is_it, is_not = (jnp.maximum(0.0, 1 - sign * logits) ** power for sign in (1, -1))
        return _weighted(is_it, targets) + _weighted(is_not, 1 - targets)


def smoothed(targets: Targets, amount: Array | float) -> Targets:
    """Return `(1 - amount) targets + amount / K`.

    Args:
        targets: `[B, K]` float32.
        amount: scalar in [0, 1); may be traced.

    Source: Szegedy et al., "Rethinking the Inception Architecture" (2016), section 7.
    """
    return (1 - amount) * targets + amount / targets.shape[-1]


def _weighted(values: Array, weights: Array) -> Array:
    # A class that is masked by a logit of -inf has no weight, and 0 times infinity is NaN.
    return jnp.where(weights == 0, 0.0, values * weights).sum(axis=-1)
