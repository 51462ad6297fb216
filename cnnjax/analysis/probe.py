"""Linear probes: what a linear classifier reads from the features of a fixed network."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnjax.typing import Array

__all__ = ["linear_classifier"]


@functools.partial(jax.jit, static_argnames=("classes", "steps"))
def linear_classifier(
    features: Array, labels: Array, penalty: Array | float, *, classes: int, steps: int = 100
) -> dict[str, jax.Array]:
    """Return the minimum of `mean cross-entropy + penalty / 2 * |kernel|^2`, by L-BFGS from 0.

    The problem is convex, and for `penalty > 0` its kernel is unique; features of mean 0 and
    deviation 1 are best for `steps` to be enough. Alain and Bengio 2016 (arXiv:1610.01644) probe
    layers so; Kornblith et al. 2019 (arXiv:1805.08974) measure transfer so.

    Args:
        features: `[N, F]`, such as the last layer before a network's classifier gives.
        labels: `[N]` integers in `[0, classes)`.
        penalty: at least 0.
        classes: K, how many there are.
        steps: of L-BFGS.

    Returns:
        `{"kernel": [F, K], "bias": [K]}`; logits are `features @ kernel + bias`.
    """

    def objective(weights: dict[str, jax.Array]) -> jax.Array:
        logits = features @ weights["kernel"] + weights["bias"][None]
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean() + penalty / 2 * jnp.sum(weights["kernel"] ** 2)

    solver = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(objective)

    def step(_: int, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        weights, state = carry
        value, gradient = value_and_gradient(weights, state=state)
        updates, state = solver.update(
            gradient, state, weights, value=value, grad=gradient, value_fn=objective
        )
        return optax.apply_updates(weights, updates), state

    weights = {"kernel": jnp.zeros((features.shape[1], classes)), "bias": jnp.zeros(classes)}
    return jax.lax.fori_loop(0, steps, step, (weights, solver.init(weights)))[0]
