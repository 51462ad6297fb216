"""Microbatches and the second gradient of a step, against the whole batch and against numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.train import SAM, SGD, Constant, Hyper, Recipe, create_state, make_train_step
from tests.train.toy import Linear, Normed, toy_set

TRAIN = toy_set(12, "train")
TARGETS = np.eye(3)[TRAIN.labels]
KEY = jax.random.key(0)


def stepped(model, recipe, dtype=jnp.float32, hyper=None):
    scalars = jax.tree.map(dtype, hyper or Hyper(learning_rate=0.5, weight_decay=0.1))
    mean, std = jnp.full(1, 0.3, dtype), jnp.full(1, 0.2, dtype)
    state = create_state(model, recipe, TRAIN.image_shape, scalars, mean, std, KEY)
    state = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf, state
    )
    batch = (TRAIN.images, TARGETS.astype(dtype))
    return state, *jax.jit(make_train_step(model, recipe, 3))(state, batch, KEY)


@pytest.mark.parametrize("optimizer", [SGD(), SAM(rho=0.5)])
@pytest.mark.parametrize("parts", [2, 3, 12])
def test_a_batch_in_parts_is_the_batch_without_norms(parts, optimizer):
    with jax.enable_x64(True):
        whole, split = (
            stepped(Linear(), Recipe(microbatches=n, optimizer=optimizer), jnp.float64)
            for n in (1, parts)
        )
    assert jax.tree.leaves(whole[1].params)[0].dtype == np.float64
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
        (whole[1].params, whole[2]),
        (split[1].params, split[2]),
    )


def test_statistics_of_norms_move_as_over_a_sequence_of_parts():
    model = Normed(rate=0.0)
    start, end, _ = stepped(model, Recipe(microbatches=3))
    images = (TRAIN.images.astype(np.float32) / 255 - 0.3) / 0.2
    variables = {"params": start.params, "batch_stats": start.batch_stats}
    for part in range(3):
        _, new = model.apply(
            variables, images[part::3], train=True, mutable=["batch_stats"], rngs={"dropout": KEY}
        )
        variables = {"params": start.params, **new}
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        end.batch_stats,
        variables["batch_stats"],
    )


def test_parts_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(BadArgument, match=r"microbatches: received 5, allowed: .* batch of 12"):
        stepped(Linear(), Recipe(microbatches=5))


def test_sam_moves_by_the_gradient_a_step_uphill():
    """By plain descent: the gradients read off from steps of rate 1, in three runs."""
    plain = SGD(nesterov=False)
    hyper = Hyper(learning_rate=1.0, momentum=0.0, weight_decay=0.0)

    def recipe(optimizer):
        return Recipe(optimizer=optimizer, schedule=Constant())

    start, end, _ = stepped(Linear(), recipe(plain), hyper=hyper)
    gradient = jax.tree.map(lambda a, b: np.asarray(a - b), start.params, end.params)
    norm = np.sqrt(sum((leaf.astype(float) ** 2).sum() for leaf in jax.tree.leaves(gradient)))
    uphill = jax.tree.map(lambda w, g: w + 0.3 * g / norm, start.params, gradient)
    there = dataclasses.replace(start, params=uphill)
    batch = (TRAIN.images, TARGETS.astype(np.float32))
    after, _ = jax.jit(make_train_step(Linear(), recipe(plain), 3))(there, batch, KEY)
    second = jax.tree.map(lambda a, b: a - b, uphill, after.params)
    _, found, metrics = stepped(Linear(), recipe(SAM(plain, rho=0.3)), hyper=hyper)
    jax.tree.map(
        lambda w, g, new: np.testing.assert_allclose(w - g, new, rtol=1e-4, atol=1e-5),
        start.params,
        second,
        found.params,
    )
    assert np.isfinite(metrics["loss"])
