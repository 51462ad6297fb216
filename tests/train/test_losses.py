"""Every loss against its formula in numpy, and two against other people's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from sklearn.metrics import hinge_loss

from cnnjax.errors import BadArgument
from cnnjax.train.losses import (
    BinaryCrossEntropy,
    ClassWeighted,
    CrammerSinger,
    CrossEntropy,
    Focal,
    OneVsAll,
    Tempered,
    smoothed,
)

LOGITS = 2 * np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 7, 50).astype(np.int32)


def margin(z, y):
    return max(0.0, 1 + np.delete(z, y).max() - z[y])


def hinges(z, y):
    return np.maximum(0, 1 - np.where(np.arange(len(z)) == y, 1, -1) * z)


def binary(z, t):
    p = 1 / (1 + np.exp(-z))
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


def focal(z, y, gamma):
    p = scipy.special.softmax(z)[y]
    return -((1 - p) ** gamma) * np.log(p)


WEIGHTS = (0.5, 1.0, 0.0, 3.0, 1.0, 0.25, 2.0)
LOSSES = {
    "cross_entropy": CrossEntropy(),
    "crammer_singer": CrammerSinger(),
    "crammer_singer_squared": CrammerSinger(squared=True),
    "one_vs_all": OneVsAll(),
    "one_vs_all_squared": OneVsAll(squared=True),
    "binary": BinaryCrossEntropy(),
    "binary_threshold": BinaryCrossEntropy(0.2),
    "focal": Focal(),
    "focal_half": Focal(0.5),
    "weighted": ClassWeighted(WEIGHTS),
    "tempered": Tempered(3.0),
}
FORMULAS = {
    "cross_entropy": lambda z, y: np.log(np.exp(z).sum()) - z[y],
    "crammer_singer": margin,
    "crammer_singer_squared": lambda z, y: margin(z, y) ** 2,
    "one_vs_all": lambda z, y: hinges(z, y).sum(),
    "one_vs_all_squared": lambda z, y: (hinges(z, y) ** 2).sum(),
    "binary": lambda z, y: binary(z, np.eye(7)[y]),
    "binary_threshold": lambda z, y: binary(z, np.eye(7)[y]),
    "focal": lambda z, y: focal(z, y, 2),
    "focal_half": lambda z, y: focal(z, y, 0.5),
    "weighted": lambda z, y: WEIGHTS[y] * (np.log(np.exp(z).sum()) - z[y]),
    "tempered": lambda z, y: 9 * (np.log(np.exp(z / 3).sum()) - z[y] / 3),
}
TARGETS = np.eye(7, dtype=np.float32)[LABELS]
MIXED = np.random.default_rng(2).dirichlet(np.ones(7), 50).astype(np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_equals_its_formula_for_each_example(name):
    expected = [
        FORMULAS[name](z, y) for z, y in zip(LOGITS.astype(np.float64), LABELS, strict=True)
    ]
    found = LOSSES[name](jnp.asarray(LOGITS), jnp.asarray(TARGETS))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def of_mixed(name, z, target):
    """The mean over the classes that a target weighs; one against all has a target of its own."""
    if name.startswith("one_vs_all"):
        power = 2 if name.endswith("squared") else 1
        each = target * np.maximum(0, 1 - z) ** power + (1 - target) * np.maximum(0, 1 + z) ** power
        return each.sum()
    if name.startswith("binary"):
        return binary(z, target > 0.2 if name.endswith("threshold") else target)
    if name == "weighted":
        return target @ WEIGHTS * of_mixed("cross_entropy", z, target)
    return sum(weight * FORMULAS[name](z, y) for y, weight in enumerate(target))


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_mixed_targets_is_the_mean_over_their_classes(name):
    pairs = zip(LOGITS.astype(np.float64), MIXED.astype(np.float64), strict=True)
    expected = [of_mixed(name, z, target) for z, target in pairs]
    np.testing.assert_allclose(LOSSES[name](LOGITS, MIXED), expected, rtol=1e-5, atol=1e-6)


def test_smoothing_moves_targets_towards_equal_shares():
    expected = 0.9 * TARGETS + 0.1 / 7
    np.testing.assert_allclose(smoothed(jnp.asarray(TARGETS), 0.1), expected, rtol=1e-6)
    np.testing.assert_array_equal(smoothed(jnp.asarray(MIXED), 0.0), MIXED)


@pytest.mark.parametrize("target", [TARGETS, MIXED], ids=["labels", "mixed"])
def test_cross_entropy_equals_that_of_scipy(target):
    log = scipy.special.log_softmax(LOGITS.astype(np.float64), axis=1)
    found = LOSSES["cross_entropy"](LOGITS, target)
    np.testing.assert_allclose(found, -(target * log).sum(1), rtol=1e-5)


def test_a_class_that_is_masked_out_does_no_harm():
    """A logit of minus infinity, as a user masks a class that cannot be."""
    masked = LOGITS.copy()
    masked[:, 6] = -np.inf
    rows = LABELS != 6
    value, gradient = jax.value_and_grad(
        lambda z: LOSSES["cross_entropy"](z, jnp.asarray(TARGETS[rows])).mean()
    )(jnp.asarray(masked[rows]))
    expected = -scipy.special.log_softmax(masked[rows, :6].astype(float), axis=1)
    assert float(value) == pytest.approx(
        expected[np.arange(rows.sum()), LABELS[rows]].mean(), rel=1e-5
    )
    assert np.isfinite(gradient).all()


def test_crammer_singer_equals_scikit_learn():
    expected = hinge_loss(LABELS, LOGITS.astype(np.float64), labels=range(7))
    losses = LOSSES["crammer_singer"](LOGITS, TARGETS)
    np.testing.assert_allclose(losses.mean(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_finite_gradient_that_raises_the_label(name):
    gradient = jax.grad(lambda z: LOSSES[name](z, TARGETS).mean())(jnp.asarray(LOGITS))
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[np.arange(50), LABELS] <= 0).all()
    assert float(jnp.abs(gradient).sum()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_confident_right_answer_costs_nothing(name):
    logits = 100.0 * (2 * jnp.eye(7)[LABELS] - 1)
    np.testing.assert_allclose(LOSSES[name](logits, TARGETS), 0.0, atol=1e-6)


def test_binary_cross_entropy_and_focal_take_a_masked_class_and_a_certain_one():
    """Minus infinity and logits so large that a probability is 1: values and gradients finite."""
    logits = jnp.float32([[200.0, -np.inf, 0.0]])
    target = jnp.float32([[1.0, 0.0, 0.0]])
    for loss in (BinaryCrossEntropy(), Focal(0.5), Focal(2.0)):
        value, gradient = jax.value_and_grad(lambda z, loss=loss: loss(z, target).sum())(logits)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_weights_of_classes_have_to_be_as_many():
    with pytest.raises(BadArgument, match="weights: received 2, allowed: one for each of 7"):
        ClassWeighted((1.0, 2.0))(LOGITS, TARGETS)


def test_a_teacher_at_a_temperature_pulls_as_hinton_says():
    """The gradient is `T (softmax(z / T) - q)`: of order one whatever the temperature."""
    teacher = scipy.special.softmax(MIXED.astype(float) * 4 / 5.0, axis=1).astype(np.float32)
    gradient = jax.grad(lambda z: Tempered(5.0)(z, teacher).sum())(jnp.asarray(LOGITS))
    expected = 5.0 * (scipy.special.softmax(LOGITS.astype(float) / 5.0, axis=1) - teacher)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
