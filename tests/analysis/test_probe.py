import jax
import jax.numpy as jnp
import numpy as np
import optax

from cnnjax.analysis.probe import linear_classifier


def test_the_linear_classifier_is_at_the_minimum():
    features = jax.random.normal(jax.random.key(0), (40, 6))
    labels = jax.random.randint(jax.random.key(1), (40,), 0, 3)

    def objective(weights):
        logits = features @ weights["kernel"] + weights["bias"][None]
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean() + 0.05 * jnp.sum(weights["kernel"] ** 2)

    found = linear_classifier(features, labels, 0.1, classes=3)
    for leaf in jax.tree.leaves(jax.grad(objective)(found)):
        np.testing.assert_allclose(leaf, 0, atol=2e-4)
