"""Metrics: `(logits, targets) -> values` per example, of which means are reported by name."""

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp

from cnnjax.errors import bounded
from cnnjax.typing import Array, Logits, Targets

__all__ = ["Metric", "PerClassAccuracy", "TopK", "totals_of"]


class Metric(Protocol):
    """What is reported of logits beside the loss."""

    def __call__(self, logits: Logits, targets: Targets) -> Array | tuple[Array, Array]:
        """Return `[B]` or `[B, M]` per example, or a pair of that and its weights.

        Logits and targets are `[B, K]`. What is reported is the mean over the examples, with
        weights the weighted one, `[M]` of them for `[B, M]`.
        """


@dataclasses.dataclass(frozen=True)
class TopK:
    """Whether the right class is among those with the k largest logits; `TopK(1)` is accuracy.

    The right class is that of the largest target. Of equal logits the first class comes first;
    where a logit is NaN no answer is right.

    Attributes:
        k: in 1..1,000,000.
    """

    k: int = 1

    def __post_init__(self) -> None:
        bounded("k", self.k, 1, 1_000_000)

    def __call__(self, logits: Logits, targets: Targets) -> Array:
        """Return `[B]` bool of logits and targets `[B, K]`."""
        right = targets.argmax(axis=-1)
        if self.k == 1:  # of NaNs argmax takes the first, which may be the right class
            return (logits.argmax(axis=-1) == right) & ~jnp.isnan(logits).any(axis=-1)
        own = jnp.take_along_axis(logits, right[:, None], axis=-1)
        first = jnp.arange(logits.shape[-1])[None, :] < right[:, None]
        before = (logits > own) | ((logits == own) & first)
        return (before.sum(axis=-1) < self.k) & ~jnp.isnan(logits).any(axis=-1)


@dataclasses.dataclass(frozen=True)
class PerClassAccuracy:
    """The share of each class's examples that are answered right, `[K]`: recall, class by class.

    NaN for a class without examples.
    """

    def __call__(self, logits: Logits, targets: Targets) -> tuple[Array, Array]:
        """Return two `[B, K]` float32 of logits and targets `[B, K]`: answers, and whose."""
        right = TopK()(logits, targets)[:, None]
        own = jax.nn.one_hot(targets.argmax(axis=-1), targets.shape[-1], dtype=jnp.float32)
        return own * right, own


def totals_of(metric: Metric, logits: Logits, targets: Targets, counted: Array) -> Array:
    """Return the weighted sum of a metric's values and the sum of weights, `[2]` or `[2, M]`.

    Args:
        metric: whose.
        logits: `[B, K]`.
        targets: `[B, K]`.
        counted: `[B]` bool, False for the padding of an incomplete batch.
    """
    found = metric(logits, targets)
    values, weights = found if isinstance(found, tuple) else (found, jnp.ones_like(counted))
    counts = counted.reshape(-1, *[1] * (jnp.ndim(values) - 1))
    weights = weights.reshape(weights.shape + (1,) * (jnp.ndim(values) - jnp.ndim(weights)))
    weights = jnp.broadcast_to(jnp.where(counts, weights, 0).astype(jnp.float32), values.shape)
    # `where` and not a product: what is not counted may be NaN.
    kept = jnp.where(weights == 0, 0.0, values.astype(jnp.float32) * weights)
    return jnp.stack([kept.sum(axis=0), weights.sum(axis=0)])
