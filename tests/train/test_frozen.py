"""A backbone whose rate is 0 does not move in anything, and works as in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnjax.data import statistics
from cnnjax.train import Hyper, Recipe, create_state, fit, make_train_step, predict
from tests.train.toy import Normed, toy_set

TRAIN = toy_set(20, "train")
HYPER = Hyper(learning_rate=0.1, weight_decay=0.1, label_smoothing=0.1, backbone_rate=0)
KEY = jax.random.key(0)


def begun(recipe):
    mean, std = map(jnp.asarray, statistics(TRAIN))
    hyper = jax.tree.map(jnp.float32, HYPER)
    state = create_state(Normed(), recipe, TRAIN.images, hyper, mean, std, KEY)
    stats = jax.tree.map(lambda leaf: leaf + 0.25, state.batch_stats)  # as of other images
    average = {} if not recipe.ema_decay else {"params": state.params, "batch_stats": stats}
    fields = vars(state) | {"batch_stats": stats, "average": average}
    return type(state)(**fields)


@pytest.mark.parametrize("name", ["sgd", "lamb", "lion"])
def test_nothing_but_the_head_moves_whatever_the_optimiser(name):
    recipe = Recipe(optimiser=name, head=("head",), ema_decay=0.5, decay_all=True, clip_norm=0.1)
    start = begun(recipe)
    step = jax.jit(make_train_step(Normed(), recipe, 3, frozen=True))
    state = start
    for _ in range(3):
        state, _ = step(state, (TRAIN.images, TRAIN.labels), KEY)
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
    recipe = Recipe(head=("head",))
    state = begun(recipe)
    mean, std = statistics(TRAIN)
    logits = predict(Normed(), state.variables, TRAIN, mean=mean, std=std).astype(np.float64)
    target = 0.9 * np.eye(3)[TRAIN.labels] + 0.1 / 3
    expected = -(target * scipy.special.log_softmax(logits, axis=1)).sum(1).mean()
    batch = (TRAIN.images, TRAIN.labels)
    losses = {
        frozen: jax.jit(make_train_step(Normed(), recipe, 3, frozen=frozen))(state, batch, KEY)[1]
        for frozen in (True, False)
    }
    assert float(losses[True]["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(losses[True]["accuracy"]) == pytest.approx(
        (logits.argmax(1) == TRAIN.labels).mean()
    )
    assert abs(float(losses[False]["loss"]) - expected) > 1e-3


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_fit_freezes_the_backbone_where_its_rate_is_zero(rate):
    recipe = Recipe(epochs=2, batch_size=10, head=("head",))
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
