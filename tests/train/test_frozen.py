"""A backbone whose rate is 0 does not move in anything, and works as in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import linen as nn

from cnnjax.data import statistics
from cnnjax.nn import BatchNorm
from cnnjax.train import (
    EMA,
    LAMB,
    SGD,
    Group,
    Hyper,
    Lion,
    Recipe,
    backbone_and,
    create_state,
    fit,
    make_train_step,
    predict,
)
from cnnjax.train.optimizers import everything
from tests.train.toy import Normed, toy_set

TRAIN = toy_set(20, "train")
TARGETS = np.eye(3, dtype=np.float32)[TRAIN.labels]
HYPER = Hyper(learning_rate=0.1, weight_decay=0.1, label_smoothing=0.1, backbone_rate=0)
KEY = jax.random.key(0)


def begun(recipe):
    mean, std = map(jnp.asarray, statistics(TRAIN))
    hyper = jax.tree.map(jnp.float32, HYPER)
    state = create_state(Normed(), recipe, TRAIN.image_shape, hyper, mean, std, KEY)
    stats = jax.tree.map(lambda leaf: leaf + 0.25, state.batch_stats)  # as of other images
    average = {} if recipe.average is None else {"params": state.params, "batch_stats": stats}
    fields = vars(state) | {"batch_stats": stats, "average": average}
    return type(state)(**fields)


FROZEN = (Group("head/*"), Group("*", 0.0))


@pytest.mark.parametrize("kind", [SGD, LAMB, Lion])
def test_nothing_but_the_head_moves_whatever_the_optimizer(kind):
    optimizer = kind(decay=everything, clip_norm=0.1)
    recipe = Recipe(optimizer=optimizer, groups=FROZEN, average=EMA(0.5))
    start = begun(recipe)
    step = jax.jit(make_train_step(Normed(), recipe, 3))
    state = start
    for _ in range(3):
        state, _ = step(state, (TRAIN.images, TARGETS), KEY)
    for tree, before in (
        (state.params, start.params),
        (state.average["params"], start.params),
    ):
        assert set(tree) == {"body", "norm", "head"}
        for part in ("body", "norm"):
            jax.tree.map(np.testing.assert_array_equal, tree[part], before[part])
        for one, other in zip(
            jax.tree.leaves(tree["head"]), jax.tree.leaves(before["head"]), strict=True
        ):
            assert (one != other).any()
    for stats in (state.batch_stats, state.average["batch_stats"]):
        jax.tree.map(np.testing.assert_array_equal, stats, start.batch_stats)


def test_the_first_loss_is_that_of_the_network_in_evaluation():
    """What is dropped before the head apart: `Normed` drops half, so its rate is set to 0 here."""
    whole = Recipe(groups=FROZEN)
    state = begun(whole)
    mean, std = statistics(TRAIN)
    model = Normed(rate=0.0)
    logits = predict(model, state.variables, TRAIN, mean=mean, std=std).astype(np.float64)
    target = 0.9 * TARGETS + 0.1 / 3
    expected = -(target * scipy.special.log_softmax(logits, axis=1)).sum(1).mean()
    losses = [
        jax.jit(make_train_step(model, recipe, 3))(state, (TRAIN.images, TARGETS), KEY)[1]
        for recipe in (whole, Recipe(groups=(Group("head/*"),)))
    ]
    assert float(losses[0]["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses[0]["accuracy"]) == pytest.approx((logits.argmax(1) == TRAIN.labels).mean())
    assert abs(float(losses[1]["loss"]) - expected) > 1e-3


class Blocks(nn.Module):
    """Two blocks with norms and dropout, the first by Flax's own, and a head."""

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            x = nn.Dense(4, name="dense")(x)
            x = BatchNorm(name="norm")(x, train=train)
            return nn.Dropout(0.5)(x, deterministic=not train)

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(4, name="stem")(images.reshape(len(images), -1))
        x = nn.BatchNorm(use_running_average=not train, name="stem_norm")(x)
        x = self.Block(name="first")(x, train=train)
        x = self.Block(name="second")(x, train=train)
        return nn.Dense(3, name="head")(x)


def test_parts_are_frozen_whole_and_the_rest_learns():
    recipe = Recipe(
        epochs=2, batch_size=10, groups=(Group("stem*", 0.0), Group("first/*", 0.0)), average=EMA()
    )
    start = Blocks().init(KEY, np.zeros((1, 8, 8, 1)), train=False)
    run = fit(Blocks(), TRAIN, None, recipe, Hyper(learning_rate=0.1), KEY, variables=start)
    for found in (
        run.variables,
        {"params": run.state.params, "batch_stats": run.state.batch_stats},
    ):
        for collection, names in (
            ("params", ["stem", "stem_norm", "first"]),
            ("batch_stats", ["stem_norm", "first"]),
        ):
            for name in names:
                jax.tree.map(
                    np.testing.assert_array_equal, found[collection][name], start[collection][name]
                )
        moved = {**found["params"]["second"], "statistics": found["batch_stats"]["second"]}
        before = {**start["params"]["second"], "statistics": start["batch_stats"]["second"]}
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), moved, before)))


def test_what_is_frozen_drops_nothing_and_the_rest_does():
    """Two steps of one state with other keys: only what still drops makes them differ."""
    groups = (Group("stem*", 0.0), Group("first/*", 0.0))
    for frozen, differ in (((*groups, Group("second/*", 0.0)), False), (groups, True)):
        recipe = Recipe(groups=frozen)
        mean, std = map(jnp.asarray, statistics(TRAIN))
        hyper = jax.tree.map(jnp.float32, Hyper())
        state = create_state(Blocks(), recipe, TRAIN.image_shape, hyper, mean, std, KEY)
        step = jax.jit(make_train_step(Blocks(), recipe, 3))
        losses = [
            float(step(state, (TRAIN.images, TARGETS), jax.random.key(i))[1]["loss"])
            for i in (0, 1)
        ]
        assert (losses[0] != losses[1]) == differ


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_fit_freezes_the_backbone_where_its_rate_is_zero(rate):
    recipe = Recipe(epochs=2, batch_size=10, groups=backbone_and(["head"]))
    start = Normed().init(KEY, np.zeros((1, 8, 8, 1)), train=False)
    hyper = Hyper(learning_rate=0.1, backbone_rate=rate)
    run = fit(Normed(), TRAIN, None, recipe, hyper, KEY, variables=start)
    found, before = run.variables, start
    moved = {
        part: jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).any()), *both))
        for part, both in {
            "body": (found["params"]["body"], before["params"]["body"]),
            "statistics": (found["batch_stats"], before["batch_stats"]),
            "head": (found["params"]["head"], before["params"]["head"]),
        }.items()
    }
    assert all(moved["head"])
    assert all(moved["body"]) == all(moved["statistics"]) == bool(rate)
    assert any(moved["body"]) == any(moved["statistics"]) == bool(rate)
