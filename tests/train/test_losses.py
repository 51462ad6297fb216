import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from sklearn.metrics import hinge_loss

from cnnjax.train.losses import LOSSES

LOGITS = 2 * np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 7, 50).astype(np.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_equals_the_cross_entropy_of_scipy_with_smoothed_labels(smoothing):
    target = (1 - smoothing) * np.eye(7)[LABELS] + smoothing / 7
    expected = -(target * scipy.special.log_softmax(LOGITS.astype(np.float64), axis=1)).sum(1)
    np.testing.assert_allclose(LOSSES["softmax"](LOGITS, LABELS, smoothing), expected, rtol=1e-5)


def test_crammer_singer_equals_scikit_learn():
    expected = hinge_loss(LABELS, LOGITS.astype(np.float64), labels=range(7))
    losses = LOSSES["crammer_singer"](LOGITS, LABELS, 0.0)
    np.testing.assert_allclose(losses.mean(), expected, rtol=1e-5)


def test_one_vs_all_is_the_sum_of_the_binary_hinges_of_optax():
    signs = 2 * jnp.eye(7)[LABELS] - 1
    expected = optax.losses.hinge_loss(jnp.asarray(LOGITS), signs).sum(axis=1)
    np.testing.assert_allclose(LOSSES["one_vs_all"](LOGITS, LABELS, 0.0), expected, rtol=1e-5)


def test_the_squared_hinges_square_each_margin():
    one = LOSSES["crammer_singer"](LOGITS, LABELS, 0.0)
    np.testing.assert_allclose(LOSSES["crammer_singer_l2"](LOGITS, LABELS, 0.0), one**2, rtol=1e-5)
    signs = 2 * np.eye(7)[LABELS] - 1
    expected = (np.maximum(0, 1 - signs * LOGITS) ** 2).sum(axis=1)
    np.testing.assert_allclose(LOSSES["one_vs_all_l2"](LOGITS, LABELS, 0.0), expected, rtol=1e-5)


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
