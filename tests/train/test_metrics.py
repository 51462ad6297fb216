"""Every metric against scikit-learn, over a whole set that is seen in batches of two sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import recall_score, top_k_accuracy_score

from cnnjax.train import PerClassAccuracy, TopK
from cnnjax.train.metrics import totals_of

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 5, 60)
LOGITS = (DRAW.normal(size=(60, 5)) + 1.5 * np.eye(5)[LABELS]).astype(np.float32)

METRICS = {"top_1": TopK(), "top_3": TopK(3), "per_class": PerClassAccuracy()}


def top(k):
    return lambda logits, labels: top_k_accuracy_score(labels, logits, k=k, labels=range(5))


REFERENCES = {
    "top_1": top(1),
    "top_3": top(3),
    "per_class": lambda logits, labels: recall_score(
        labels, logits.argmax(1), average=None, labels=range(5)
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_scikit_learns(name):
    targets = jax.nn.one_hot(LABELS, 5)
    totals = 0
    for rows in (slice(0, 37), slice(37, 60)):
        counted = jnp.ones(rows.stop - rows.start, bool)
        given = jnp.asarray(LOGITS[rows]), targets[rows], counted
        totals = totals + totals_of(METRICS[name], *given)
    found = np.asarray(totals[0] / totals[1])
    expected = REFERENCES[name](LOGITS, LABELS)
    assert np.unique(expected).size > 1 or 0 < expected < 1
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_smoothed_targets_have_the_same_right_class(name):
    targets = jax.nn.one_hot(LABELS, 5)
    smooth = METRICS[name](LOGITS, 0.8 * targets + 0.04)
    for one, other in zip(
        jax.tree.leaves(METRICS[name](LOGITS, targets)), jax.tree.leaves(smooth), strict=True
    ):
        np.testing.assert_array_equal(one, other)
