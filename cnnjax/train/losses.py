"""Losses of logits and labels, one number per example; every gradient is jax's own."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnnjax.typing import Array, Labels, Logits

__all__ = [
    "LOSSES",
    "SMOOTHED",
    "crammer_singer",
    "crammer_singer_l2",
    "one_vs_all",
    "one_vs_all_l2",
    "softmax",
]

Loss = Callable[[Logits, Labels, Array | float], Array]


def softmax(logits: Logits, labels: Labels, label_smoothing: Array | float = 0.0) -> Array:
    """Return the cross-entropy between smoothed labels and the softmax of the logits.

    `-sum_k q_k log softmax(z)_k` with `q_k = (1 - s) [k = y] + s / K`.

    Args:
        logits: `[B, K]` float32.
        labels: `[B]` int32, in 0..K-1.
        label_smoothing: the scalar `s` in [0, 1); may be traced.

    Returns:
        `[B]` float32, at least 0.

    Source: Szegedy et al., "Rethinking the Inception Architecture" (2016), section 7.
    """
    log_probability = jax.nn.log_softmax(logits)
    of_label = _at_label(log_probability, labels)
    return -((1 - label_smoothing) * of_label + label_smoothing * log_probability.mean(axis=-1))


def crammer_singer(logits: Logits, labels: Labels, label_smoothing: Array | float = 0.0) -> Array:
    """Return the multi-class hinge of the label's margin over the best other class.

    `max(0, 1 + max_{j != y} z_j - z_y)`.

    Args:
        logits: `[B, K]` float32.
        labels: `[B]` int32, in 0..K-1.
        label_smoothing: unused; a margin has no smoothed form, and `fit` refuses other than 0.

    Returns:
        `[B]` float32, at least 0.

    Source: Crammer and Singer, "On the Algorithmic Implementation of Multiclass Kernel-based
    Vector Machines" (2001), equation 4.
    """
    of_label = _at_label(logits, labels)
    others = jnp.where(_one_hot(logits, labels), -jnp.inf, logits)
    return jnp.maximum(0.0, 1 + others.max(axis=-1) - of_label)


def crammer_singer_l2(
    logits: Logits, labels: Labels, label_smoothing: Array | float = 0.0
) -> Array:
    """Return the square of `crammer_singer`, differentiable where the margin is met.

    `max(0, 1 + max_{j != y} z_j - z_y)^2`; arguments and result as there.

    Source: Lee and Lin, "A Study on L2-Loss (Squared Hinge-Loss) Multiclass SVM" (2013),
    equation 4.
    """
    return crammer_singer(logits, labels, label_smoothing) ** 2


def one_vs_all(logits: Logits, labels: Labels, label_smoothing: Array | float = 0.0) -> Array:
    """Return the sum over classes of the binary hinge of "this class or not".

    `sum_k max(0, 1 - t_k z_k)` with `t_y = 1` and `t_k = -1` elsewhere.

    Args:
        logits: `[B, K]` float32.
        labels: `[B]` int32, in 0..K-1.
        label_smoothing: unused; a margin has no smoothed form, and `fit` refuses other than 0.

    Returns:
        `[B]` float32, at least 0.

    Source: Tang, "Deep Learning using Linear Support Vector Machines" (2013), section 2.
    """
    return _binary_hinges(logits, labels).sum(axis=-1)


def one_vs_all_l2(logits: Logits, labels: Labels, label_smoothing: Array | float = 0.0) -> Array:
    """Return the sum over classes of the squared binary hinge of "this class or not".

    `sum_k max(0, 1 - t_k z_k)^2`; arguments, result and source as in `one_vs_all`.
    """
    return (_binary_hinges(logits, labels) ** 2).sum(axis=-1)


def _binary_hinges(logits: Logits, labels: Labels) -> Array:
    signs = jnp.where(_one_hot(logits, labels), 1.0, -1.0)
    return jnp.maximum(0.0, 1 - signs * logits)


def _one_hot(logits: Logits, labels: Labels) -> Array:
    return jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)


def _at_label(values: Array, labels: Labels) -> Array:
    return jnp.take_along_axis(values, labels[:, None], axis=-1)[:, 0]


LOSSES: dict[str, Loss] = {
    "softmax": softmax,
    "crammer_singer": crammer_singer,
    "crammer_singer_l2": crammer_singer_l2,
    "one_vs_all": one_vs_all,
    "one_vs_all_l2": one_vs_all_l2,
}

SMOOTHED = ("softmax",)
"""The losses of `LOSSES` that label smoothing has a meaning for."""
