"""airbench94's recipe: its own values against numpy, and a run of it on noise."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.train import fit
from tests.train.toy import noise_set


@pytest.fixture(scope="module")
def recipe(experiment):
    return experiment("recipes/airbench94")


def test_it_is_short(recipe):
    assert len(inspect.getsource(recipe).splitlines()) <= 60


def test_images_are_shifted_by_up_to_two_pixels_and_mirrored_at_the_border(recipe):
    images = noise_set(40, 8).images
    targets = jnp.eye(40)
    found, same = recipe.translate(jax.random.key(0), jnp.asarray(images), targets)
    np.testing.assert_array_equal(same, targets)
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    shifts = set()
    for image, whole in zip(np.asarray(found), wide, strict=True):
        ways = [
            (row, column)
            for row in range(5)
            for column in range(5)
            if (whole[row : row + 8, column : column + 8] == image).all()
        ]
        assert len(ways) == 1
        shifts |= set(ways)
    assert {row for row, _ in shifts} == {column for _, column in shifts} == set(range(5))


def test_the_rate_is_the_paper_s_triangle(recipe):
    found = [float(recipe.triangle(jnp.int32(step), 100)) for step in (0, 23, 61, 100)]
    assert found == pytest.approx([0.2, 1.0, 1 - 0.93 * 38 / 77, 0.07])


def test_biases_of_norms_learn_faster_and_all_decays_alike(recipe):
    params = {"norm1": {"bias": jnp.ones(3)}, "conv": {"kernel": jnp.full((2, 2), 2.0)}}
    hyper = dataclasses.replace(recipe.HYPER, weight_decay=0.1, momentum=0.0)
    transform = recipe.nesterov(jnp.float32(0.5), hyper)
    gradient = jax.tree.map(lambda p: 0.25 * jnp.ones_like(p), params)
    updates, _ = transform.update(gradient, transform.init(params), params)
    np.testing.assert_allclose(updates["norm1"]["bias"], -(32 * 0.25 + 0.5 * 0.1), rtol=1e-6)
    np.testing.assert_allclose(updates["conv"]["kernel"], -0.5 * (0.25 + 0.1 * 2), rtol=1e-6)


def test_it_trains_the_network(recipe):
    model = cnnjax.build("airbench94_cifar", widths=(8, 8, 8), num_classes=3)
    small = dataclasses.replace(recipe.RECIPE, epochs=8, batch_size=12)
    run = fit(model, noise_set(12, 16, 3), None, small, recipe.HYPER, jax.random.key(0))
    losses = [entry["train_loss"] for entry in run.history]
    assert losses[-1] < losses[0]
