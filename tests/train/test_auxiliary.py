"""Auxiliary classifiers learn: the loss of each, times the model's weight, is minimised as well."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import linen as nn

from cnnjax import build
from cnnjax.data import statistics
from cnnjax.train import SGD, Constant, Hyper, Recipe, create_state, fit, make_train_step
from tests.train.toy import toy_set

TRAIN = toy_set(20, "train")
KEY = jax.random.key(0)


class WithHeads(nn.Module):
    """A classifier and two auxiliary ones, side by side, which are there in training only."""

    aux_weight = 0.25

    @nn.compact
    def __call__(self, images, *, train, features=False):
        x = images.reshape(len(images), -1)
        found = {"stem": x}
        if train or self.is_initializing():
            found |= {name: nn.Dense(3, name=name)(x) for name in ("aux1", "aux2")}
        logits = nn.Dense(3, name="own")(x)
        return (logits, found) if features else logits


def losses_of(params, x):
    logits = {name: x @ p["kernel"] + p["bias"] for name, p in params.items()}
    return {
        name: -scipy.special.log_softmax(z, axis=1)[np.arange(20), TRAIN.labels].mean()
        for name, z in logits.items()
    }


def test_the_loss_is_the_weighted_sum_and_every_head_goes_down_its_gradient():
    recipe = Recipe(optimizer=SGD(nesterov=False), schedule=Constant())
    mean, std = statistics(TRAIN)
    hyper = jax.tree.map(jnp.float32, Hyper(learning_rate=0.5, momentum=0, weight_decay=0))
    state = create_state(
        WithHeads(), recipe, TRAIN.image_shape, hyper, *map(jnp.asarray, (mean, std)), KEY
    )
    step = jax.jit(make_train_step(WithHeads(), recipe, 5))
    new, metrics = step(state, (TRAIN.images, jax.nn.one_hot(TRAIN.labels, 3)), KEY)
    x = ((TRAIN.images / 255.0 - mean) / std).reshape(20, -1)
    before = jax.tree.map(np.float64, state.params)
    losses = losses_of(before, x)
    expected = losses["own"] + 0.25 * (losses["aux1"] + losses["aux2"])
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)
    own = (x @ before["own"]["kernel"] + before["own"]["bias"]).argmax(1)
    assert float(metrics["accuracy"]) == pytest.approx((own == TRAIN.labels).mean())
    for name, weight in (("own", 1.0), ("aux1", 0.25), ("aux2", 0.25)):
        z = x @ before[name]["kernel"] + before[name]["bias"]
        error = (scipy.special.softmax(z, axis=1) - np.eye(3)[TRAIN.labels]) / 20
        step = -0.5 * weight * error.sum(0)
        np.testing.assert_allclose(new.params[name]["bias"] - before[name]["bias"], step, atol=1e-6)


def test_fit_trains_them_and_evaluates_without():
    run = fit(WithHeads(), TRAIN, TRAIN, Recipe(epochs=5, batch_size=20), Hyper(), KEY)
    mean, std = statistics(TRAIN)
    x = ((TRAIN.images / 255.0 - mean) / std).reshape(20, -1)
    losses = losses_of(jax.tree.map(np.float64, run.variables["params"]), x)
    assert run.test["loss"] == pytest.approx(losses["own"], rel=1e-4)
    assert max(losses.values()) < 0.8 * np.log(3)


@pytest.mark.parametrize(("name", "weight"), [("googlenet", 0.3), ("inception_v3", 0.4)])
def test_the_weights_are_those_of_the_paper_and_of_pytorch(name, weight):
    """Szegedy et al. 2015, section 5; PyTorch's tutorial on fine-tuning."""
    assert build(name, aux_heads=True, num_classes=3).aux_weight == weight
