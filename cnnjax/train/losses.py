"""Losses: `(logits, targets) -> [B]`, one number per example; every gradient is jax's own.

Targets are distributions over classes. Of a margin, which knows one right class, the loss is the
mean over the classes that the targets weigh: for `[0, 1, 0]` that of the second.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp

from cnnjax.errors import BadArgument, number
from cnnjax.typing import Array, Logits, Targets

__all__ = [
    "BinaryCrossEntropy",
    "ClassWeighted",
    "CrammerSinger",
    "CrossEntropy",
    "Focal",
    "Loss",
    "OneVsAll",
    "Tempered",
    "smoothed",
]


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


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy:
    """The mean over classes of the cross-entropy of "this class or not", by a sigmoid.

    `-1/K sum_k t_k log s(z_k) + (1 - t_k) log s(-z_k)` with `s` the logistic function.

    Attributes:
        threshold: in [0, 1); targets above it count as 1, others as 0, so that of mixed images
            every class is wholly right; None takes targets as they are.

    Raises:
        BadArgument: for a threshold outside this range.

    Source: Wightman, Touvron and Jegou, "ResNet strikes back" (2021), section 3.
    """

    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None:
            number("threshold", self.threshold, below=1)

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32, at least 0, of logits and targets `[B, K]`."""
        if self.threshold is not None:
            targets = (targets > self.threshold).astype(logits.dtype)
        is_it, is_not = jax.nn.softplus(-logits), jax.nn.softplus(logits)
        total = _weighted(is_it, targets) + _weighted(is_not, 1 - targets)
        return total / logits.shape[-1]


@dataclasses.dataclass(frozen=True)
class Focal:
    """The cross-entropy, with less weight on what is answered well already.

    `-sum_k t_k (1 - p_k)^gamma log p_k` with `p` the softmax of the logits.

    Attributes:
        gamma: at least 0; 0 is the cross-entropy.

    Raises:
        BadArgument: for a gamma outside this range.

    Source: Lin et al., "Focal Loss for Dense Object Detection" (2017), equation 4, where `p` is
    that of the right class.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        number("gamma", self.gamma)

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32, at least 0, of logits and targets `[B, K]`."""
        # Of a class that is masked out nothing is differentiated.
        logs = jnp.where(targets == 0, 0.0, jax.nn.log_softmax(logits))
        # Of exactly 0 a power below 1 has no finite gradient.
        missing = jnp.maximum(-jnp.expm1(logs), jnp.finfo(logs.dtype).tiny)
        return _weighted(-(missing**self.gamma) * logs, targets)


@dataclasses.dataclass(frozen=True)
class ClassWeighted:
    """A loss whose examples weigh as much as their classes do.

    `sum_k t_k w_k loss(z, t)`. What is minimized is the mean over examples, not divided by the
    weights of a batch: give weights whose mean over the training set is 1.

    Attributes:
        weights: one for each class, at least 0.
        loss: of the examples.

    Raises:
        BadArgument: for other weights; when called, for another number of classes.
    """

    weights: tuple[float, ...]
    loss: Loss = CrossEntropy()

    def __post_init__(self) -> None:
        if isinstance(self.weights, str) or not isinstance(self.weights, Sequence):
            raise BadArgument(f"weights: received {self.weights!r}, allowed: a tuple of numbers")
        object.__setattr__(self, "weights", tuple(self.weights))
        for weight in self.weights:
            number("weights", weight)

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32 of logits and targets `[B, K]`."""
        if len(self.weights) != logits.shape[-1]:
            raise BadArgument(
                f"weights: received {len(self.weights)}, allowed: one for each of "
                f"{logits.shape[-1]} classes"
            )
        return (targets @ jnp.asarray(self.weights, targets.dtype)) * self.loss(logits, targets)


@dataclasses.dataclass(frozen=True)
class Tempered:
    """A loss of logits divided by a temperature T, times its square: `T^2 loss(z / T, t)`.

    With targets that are a teacher's softmax at the same temperature it is distillation; the
    square keeps the size of gradients.

    Attributes:
        temperature: above 0.
        loss: of the divided logits.

    Raises:
        BadArgument: for a temperature outside this range.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015),
    section 2.
    """

    temperature: float = 4.0
    loss: Loss = CrossEntropy()

    def __post_init__(self) -> None:
        number("temperature", self.temperature, above_zero=True)

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` float32 of logits and targets `[B, K]`."""
        return self.temperature**2 * self.loss(logits / self.temperature, targets)


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
