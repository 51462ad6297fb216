import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from cnnjax import ops
from cnnjax.data import statistics
from cnnjax.data.augment import Cutout, Normalize, RandomCrop
from cnnjax.errors import BadArgument
from cnnjax.train import (
    EMA,
    Hyper,
    Recipe,
    data_parallel_mesh,
    evaluate,
    fit,
    predict,
    programs,
)
from cnnjax.train.course import Course, gone_through
from cnnjax.train.feed import feed_of
from cnnjax.train.placement import one_device
from cnnjax.train.plan import begun, plan_of, programs_of
from cnnjax.train.standing import Standing
from tests.train.toy import Toy, toy_set

TRAIN, TEST, VALIDATION = toy_set(100, "train"), toy_set(37, "test"), toy_set(20, "validation")
CHAIN = (RandomCrop(1), Normalize(), Cutout(2))
RECIPE = Recipe(epochs=3, batch_size=32, augment=CHAIN, average=EMA(0.9))
HYPER = Hyper(learning_rate=0.1, label_smoothing=0.1)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def run():
    return fit(Toy(), TRAIN, TEST, RECIPE, HYPER, KEY, validation=VALIDATION)


def same(one, other):
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), one, other)))


def without_times(history):
    times = ("seconds", "images_per_second")
    return [{k: v for k, v in entry.items() if k not in times} for entry in history]


def test_a_run_learns_and_tells_its_history(run):
    assert [entry["epoch"] for entry in run.history] == [1, 2, 3]
    assert int(run.state.step) == 9
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    assert run.history[-1]["train_accuracy"] > run.history[0]["train_accuracy"]
    assert set(run.test) == {"loss", "accuracy"}
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(run.state))


def test_the_same_key_gives_the_same_bits_and_another_key_compiles_nothing(run):
    compilations = programs._compile.cache_info().misses
    again = fit(Toy(), TRAIN, TEST, RECIPE, HYPER, KEY, validation=VALIDATION)
    assert same(run.state, again.state)
    assert without_times(run.history) == without_times(again.history)
    other = fit(Toy(), TRAIN, TEST, RECIPE, Hyper(0.02, 0.5, 0.1), jax.random.key(1))
    assert not same(run.state.params, other.state.params)
    assert programs._compile.cache_info().misses == compilations


def test_validation_and_progress_do_not_change_the_run(run):
    reports = []
    quiet = fit(Toy(), TRAIN, None, RECIPE, HYPER, KEY, progress=reports.append)
    assert same(run.state, quiet.state)
    assert quiet.test == {}
    assert [r.epoch for r in reports if r.finished] == [1, 2, 3]
    assert reports[-1].step == reports[-1].steps == 9
    assert reports[-1].seconds_left == 0


def test_evaluation_counts_every_example_once_whatever_the_batch(run):
    logits = predict(Toy(), run.variables, TEST, mean=run.mean, std=run.std, batch_size=16)
    assert logits.shape == (37, 3)
    assert logits.dtype == np.float32
    accuracy = (logits.argmax(1) == TEST.labels).mean()
    loss = -scipy.special.log_softmax(logits, axis=1)[np.arange(37), TEST.labels].mean()
    for size in (16, 37, 256):
        found = evaluate(Toy(), run.variables, TEST, mean=run.mean, std=run.std, batch_size=size)
        assert found["accuracy"] == pytest.approx(accuracy)
        assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert run.test["accuracy"] == pytest.approx(accuracy)


def test_a_set_smaller_than_the_batch_makes_one_batch():
    run = fit(Toy(), TRAIN.subset(range(9)), None, Recipe(epochs=2), HYPER, KEY)
    assert int(run.state.step) == 2


def test_the_callers_arrays_survive():
    hyper = Hyper(*(jnp.float32(value) for value in (0.1, 0.9, 0.0, 0.0)))
    recipe = Recipe(epochs=1, batch_size=32)
    fit(Toy(), TRAIN, None, recipe, hyper, KEY)
    assert hyper.to_dict()["momentum"] == pytest.approx(0.9)


def test_two_devices_take_the_same_steps(run):
    assert len(jax.devices()) >= 2
    mesh = data_parallel_mesh(jax.devices()[:2])
    both = fit(Toy(), TRAIN, TEST, RECIPE, HYPER, KEY, validation=VALIDATION, mesh=mesh)
    assert len(both.state.step.devices()) == 2
    for one, other in zip(jax.tree.leaves(run.state), jax.tree.leaves(both.state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert both.test["accuracy"] == pytest.approx(run.test["accuracy"], abs=0.03)
    with pytest.raises(BadArgument, match="batch_size: 33"):
        fit(Toy(), TRAIN, None, Recipe(batch_size=33), HYPER, KEY, mesh=mesh)


@pytest.mark.parametrize(
    "setting",
    [
        ops.stock,
        lambda: jax.default_matmul_precision("float32"),
        lambda: jax.default_device(jax.devices()[1]),
    ],
)
def test_what_a_program_depends_on_besides_its_arguments_is_compiled_apart(run, setting):
    evaluate(Toy(), run.variables, TEST, mean=run.mean, std=run.std)
    compilations = programs._compile.cache_info().misses
    with setting():
        evaluate(Toy(), run.variables, TEST, mean=run.mean, std=run.std)
    assert programs._compile.cache_info().misses > compilations


def test_a_run_starts_from_given_weights_and_keeps_them(run):
    """Without learning, what comes out is what went in: weights, normalization and all."""
    start = jax.tree.map(jnp.array, fit(Toy(), TRAIN, None, RECIPE, HYPER, KEY).variables)
    before = jax.tree.map(np.asarray, start)
    recipe = Recipe(epochs=1, batch_size=32)
    normalization = (np.full(1, 0.25), np.full(1, 0.5))
    still = fit(
        Toy(), TRAIN, None, recipe, Hyper(learning_rate=0.0), KEY, variables=start,
        normalization=normalization,
    )  # fmt: skip
    assert same(start, before)
    assert same(still.variables["params"], before["params"])
    assert (still.mean, still.std) == normalization
    moved = fit(Toy(), TRAIN, None, recipe, HYPER, KEY, variables=start)
    again = fit(Toy(), TRAIN, None, recipe, HYPER, KEY, variables=start)
    assert same(moved.variables, again.variables)
    assert not same(moved.variables["params"], before["params"])


def test_a_step_writes_over_the_state_before():
    """It is donated: a run holds one state in memory and not two."""
    plan = plan_of(RECIPE, TRAIN, None, one_device())
    state, _ = begun(Toy(), plan, HYPER, KEY, *statistics(TRAIN), None)
    feed = feed_of(TRAIN, plan.mesh, None)
    programs, _ = programs_of(Toy(), plan, feed, len(TRAIN), KEY, state)
    before = jax.tree.leaves(state)
    course = Course(Toy(), programs, ["toy"], None, None, None)
    gone_through(course, Standing(state))
    assert all(leaf.is_deleted() for leaf in before)
