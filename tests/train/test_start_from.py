"""Models that take part of their weights from the training images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax.data import statistics
from cnnjax.train import Hyper, Recipe, evaluate, fit, sweep
from cnnjax.train.state import images_to_start_from
from tests.train.toy import toy_set

TRAIN, TEST = toy_set(100, "train"), toy_set(37, "test", seed=1)
HYPER, KEYS = Hyper(learning_rate=0.1), jax.random.split(jax.random.key(0), 2)


class Centred(nn.Module):
    """A linear classifier of what is left of an image without the mean training image."""

    num_classes: int = 3

    @nn.nowrap
    def start_from(self, variables, images):
        return {**variables, "batch_stats": {"average": images.mean(0)}}

    @nn.compact
    def __call__(self, images, *, train, features=False):
        average = self.variable("batch_stats", "average", jnp.zeros, images.shape[1:])
        x = images - average.value[None]
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


def average(dataset):
    """The mean training image, normalised, in float64."""
    mean, std = statistics(dataset)
    return (dataset.images.astype(np.float64).mean(0) / 255 - mean) / std


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_training_starts_from_the_training_images(ema_decay):
    run = fit(Centred(), TRAIN, TEST, Recipe(epochs=1, ema_decay=ema_decay), HYPER, KEYS[0])
    np.testing.assert_allclose(run.variables["batch_stats"]["average"], average(TRAIN), atol=1e-6)
    assert np.any(np.abs(average(TRAIN) - average(TEST)) > 1e-3)
    again = evaluate(Centred(), run.variables, TEST, mean=run.mean, std=run.std)
    assert again["loss"] == pytest.approx(run.test["loss"])


def test_every_run_of_a_sweep_starts_so():
    for run in sweep(Centred(), TRAIN, None, Recipe(epochs=1), [HYPER], KEYS):
        kept = run.variables["batch_stats"]["average"]
        np.testing.assert_allclose(kept, average(TRAIN), atol=1e-6)


def test_given_weights_stay_and_a_resumed_run_goes_on(tmp_path):
    run = fit(Centred(), TRAIN, TEST, Recipe(epochs=2), HYPER, KEYS[0], checkpoint_dir=tmp_path)
    resumed = fit(Centred(), TRAIN, TEST, Recipe(epochs=2), HYPER, KEYS[0], checkpoint_dir=tmp_path)
    assert jax.tree.all(jax.tree.map(np.array_equal, run.variables, resumed.variables))
    given = {**run.variables, "batch_stats": {"average": jnp.full((8, 8, 1), 0.25)}}
    run = fit(Centred(), TRAIN, TEST, Recipe(epochs=1), HYPER, KEYS[0], variables=given)
    assert np.all(run.variables["batch_stats"]["average"] == 0.25)


def test_at_most_five_thousand_images_from_the_whole_set():
    images = np.arange(12_001)
    chosen = images_to_start_from(Centred(), images)
    assert 3_000 < len(chosen) <= 5_000
    assert chosen[0] == 0
    assert chosen[-1] > 11_990
    assert len(images_to_start_from(Centred(), images[:5_000])) == 5_000
    assert len(images_to_start_from(nn.Dense(3), images)) == 1
