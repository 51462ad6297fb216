"""Every loss against its formula in numpy, and two against other people's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.metrics import hinge_loss

from cnnjax.train.losses import LOSSES, SMOOTHED

LOGITS = 2 * np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 7, 50).astype(np.int32)


def margin(z, y):
    return max(0.0, 1 + np.delete(z, y).max() - z[y])


def hinges(z, y):
    return np.maximum(0, 1 - np.where(np.arange(len(z)) == y, 1, -1) * z)


FORMULAS = {
    "softmax": lambda z, y: np.log(np.exp(z).sum()) - z[y],
    "crammer_singer": margin,
    "crammer_singer_l2": lambda z, y: margin(z, y) ** 2,
    "one_vs_all": lambda z, y: hinges(z, y).sum(),
    "one_vs_all_l2": lambda z, y: (hinges(z, y) ** 2).sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_equals_its_formula_for_each_example(name):
    expected = [
        FORMULAS[name](z, y) for z, y in zip(LOGITS.astype(np.float64), LABELS, strict=True)
    ]
    found = LOSSES[name](jnp.asarray(LOGITS), jnp.asarray(LABELS), 0.0)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(LOSSES[name](LOGITS, LABELS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_label_smoothing_changes_those_that_it_has_a_meaning_for(name):
    smoothed, plain = (LOSSES[name](LOGITS, LABELS, amount) for amount in (0.1, 0.0))
    assert bool((smoothed != plain).any()) == (name in SMOOTHED)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_equals_the_cross_entropy_of_scipy_with_smoothed_labels(smoothing):
    target = (1 - smoothing) * np.eye(7)[LABELS] + smoothing / 7
    expected = -(target * scipy.special.log_softmax(LOGITS.astype(np.float64), axis=1)).sum(1)
    np.testing.assert_allclose(LOSSES["softmax"](LOGITS, LABELS, smoothing), expected, rtol=1e-5)


def test_crammer_singer_equals_scikit_learn():
    expected = hinge_loss(LABELS, LOGITS.astype(np.float64), labels=range(7))
    losses = LOSSES["crammer_singer"](LOGITS, LABELS, 0.0)
    np.testing.assert_allclose(losses.mean(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_finite_gradient_that_raises_the_label(name):
    gradient = jax.grad(lambda z: LOSSES[name](z, LABELS, 0.0).mean())(jnp.asarray(LOGITS))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[np.arange(50), LABELS] <= 0).all()
    assert float(jnp.abs(gradient).sum()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_confident_right_answer_costs_nothing(name):
    logits = 100.0 * (2 * jnp.eye(7)[LABELS] - 1)
    np.testing.assert_allclose(LOSSES[name](logits, LABELS, 0.0), 0.0, atol=1e-6)
