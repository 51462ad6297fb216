"""A sweep is its runs, each as `fit` would have it; one that diverges ends alone."""

import jax
import numpy as np
import pytest

from cnnjax.data.augment import Cutout, Normalize, RandomCrop
from cnnjax.errors import BadArgument
from cnnjax.train import (
    EMA,
    SGD,
    Constant,
    Hyper,
    NonFiniteLoss,
    Recipe,
    backbone_and,
    course,
    fit,
    show_progress,
    sweep,
)
from tests.train.toy import Fragile, Normed, toy_set

TRAIN, TEST, VALIDATION = toy_set(40, "train"), toy_set(13, "test"), toy_set(10, "validation")
CHAIN = (RandomCrop(1), Normalize(), Cutout(2))
RECIPE = Recipe(epochs=3, batch_size=16, augment=CHAIN, average=EMA(0.9))
KEYS = [jax.random.key(0), jax.random.key(1)]

# The first gradient of `Fragile` moves a logit by at least a twentieth of the rate: past 100.
SOUND, BROKEN = Hyper(learning_rate=0.1), Hyper(learning_rate=1e5)
STEPS = Recipe(epochs=3, batch_size=20, schedule=Constant())


def assert_same(swept, alone):
    for one, other in zip(jax.tree.leaves(swept.state), jax.tree.leaves(alone.state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(swept.history, alone.history, strict=True):
        assert set(ours) == set(theirs)
        assert ours["epoch"] == theirs["epoch"]
        for name in ("train_loss", "validation_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3)
    assert swept.test["loss"] == pytest.approx(alone.test["loss"], rel=1e-3)
    assert swept.test["accuracy"] == pytest.approx(alone.test["accuracy"], abs=0.1)


def test_all_keys_of_the_first_hyper_come_first_and_equal_fit():
    hypers = [Hyper(learning_rate=0.1), Hyper(learning_rate=0.02, momentum=0.5)]
    runs = sweep(Normed(), TRAIN, TEST, RECIPE, hypers, KEYS, validation=VALIDATION)
    assert len(runs) == 4
    pairs = [(hyper, key) for hyper in hypers for key in KEYS]
    for swept, (hyper, key) in zip(runs, pairs, strict=True):
        assert swept.failure is None
        assert_same(swept, fit(Normed(), TRAIN, TEST, RECIPE, hyper, key, validation=VALIDATION))
    rate = runs[0].history[0]["images_per_second"] * runs[0].history[0]["seconds"]
    assert rate == pytest.approx(2 * 16 * 4)
    assert runs[0].train_seconds == pytest.approx(sum(e["seconds"] for e in runs[0].history))


def test_a_sweep_of_frozen_backbones_equals_fit():
    recipe, hyper = (
        Recipe(epochs=2, batch_size=20, groups=backbone_and(["head"])),
        Hyper(backbone_rate=0),
    )
    (swept,) = sweep(Normed(), TRAIN, TEST, recipe, [hyper], KEYS[:1], validation=VALIDATION)
    assert_same(swept, fit(Normed(), TRAIN, TEST, recipe, hyper, KEYS[0], validation=VALIDATION))


def test_a_run_that_diverges_ends_alone_and_says_when(monkeypatch):
    """The first update breaks it: the loss of step 0 is sound, that of step 1 is not a number."""
    with pytest.raises(
        NonFiniteLoss, match=r"nan at step 1 \(epoch 1\).*learning_rate=1e\+?5|1000"
    ):
        fit(Fragile(), TRAIN, TEST, STEPS, BROKEN, KEYS[0])
    reports = []
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1)
    runs = sweep(
        Fragile(), TRAIN, TEST, STEPS, [SOUND, BROKEN], KEYS[:1], validation=VALIDATION,
        progress=reports.append,
    )  # fmt: skip
    sound, broken = runs
    alone = fit(Fragile(), TRAIN, TEST, STEPS, SOUND, KEYS[0], validation=VALIDATION)
    assert_same(sound, alone)
    assert sound.failure is None
    assert (broken.failure.step, broken.failure.epoch) == (1, 1)
    assert "100000" in str(broken.failure)
    assert (broken.history, broken.test) == ([], {})
    # What is shown is the mean over the runs that have not failed: here of one.
    last = reports[-1]
    entry = sound.history[-1]
    assert (last.loss, last.accuracy) == (entry["train_loss"], entry["train_accuracy"])
    assert last.finished == {**entry, "seconds": last.finished["seconds"]}


def test_a_sweep_whose_runs_all_diverge_ends_early():
    reports = []
    runs = sweep(
        Fragile(), TRAIN, TEST, STEPS, [BROKEN], KEYS, validation=VALIDATION,
        progress=reports.append,
    )  # fmt: skip
    assert [run.failure.step for run in runs] == [1, 1]
    assert not reports
    assert all(run.history == [] and run.test == {} for run in runs)


def test_a_run_that_diverges_later_keeps_the_epochs_before(monkeypatch):
    """At a rate between, the third epoch is the one in which a logit passes 100."""
    labels = TRAIN.labels
    # Full batches: the gradient of the mean loss is softmax minus the share of each class.
    share = np.bincount(labels, minlength=3) / len(labels)
    recipe = Recipe(epochs=4, batch_size=40, schedule=Constant(), optimizer=SGD(nesterov=False))
    rate, bias, steps = 500.0, np.zeros(3), 0
    while np.abs(bias).max() <= 100:
        z = np.exp(bias - bias.max())
        bias, steps = bias - rate * (z / z.sum() - share), steps + 1
    hyper = Hyper(learning_rate=rate, momentum=0.0)
    (run,) = sweep(Fragile(), TRAIN, None, recipe, [hyper], KEYS[:1])
    assert (run.failure.step, run.failure.epoch) == (steps, steps + 1)
    assert [entry["epoch"] for entry in run.history] == list(range(1, steps + 1))
    with pytest.raises(NonFiniteLoss) as caught:
        fit(Fragile(), TRAIN, None, recipe, hyper, KEYS[0])
    assert (caught.value.step, caught.value.epoch) == (steps, steps + 1)


def test_progress_is_shown_with_a_validation_set(capsys):
    with show_progress("two runs") as progress:
        runs = sweep(
            Fragile(), TRAIN, None, STEPS, [SOUND], KEYS, validation=VALIDATION, progress=progress
        )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    accuracy = np.mean([run.history[-1]["validation_accuracy"] for run in runs])
    loss = np.mean([run.history[-1]["train_loss"] for run in runs])
    assert f"validation {accuracy:.2%}" in lines[-1]
    assert f"loss {loss:.4f}" in lines[-1]
    assert lines[-1].startswith("two runs  epoch 3/3")


def test_an_interrupted_sweep_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    """One of its runs has failed by then, and stays so."""
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1)
    arguments = (Fragile(), TRAIN, TEST, STEPS, [SOUND, BROKEN], KEYS)

    def interrupt(report):
        if report.step == 3:
            raise KeyboardInterrupt

    whole = sweep(*arguments, validation=VALIDATION)
    with pytest.raises(KeyboardInterrupt):
        sweep(*arguments, validation=VALIDATION, checkpoint_dir=tmp_path, progress=interrupt)
    reports = []
    for _ in range(2):  # the second time it is only read
        again = sweep(
            *arguments, validation=VALIDATION, checkpoint_dir=tmp_path, progress=reports.append
        )
        for one, other in zip(again, whole, strict=True):
            jax.tree.map(np.testing.assert_array_equal, one.state, other.state)
            assert repr(one.failure) == repr(other.failure)
            losses = [[entry["train_loss"] for entry in run.history] for run in (one, other)]
            assert losses[0] == losses[1]
            assert one.test == other.test
    assert [report.step for report in reports] == [4, 5, 6]
    with pytest.raises(BadArgument, match=r"another run: its hyper.*learning_rate is 0\.1"):
        sweep(*arguments[:4], [BROKEN, SOUND], KEYS, validation=VALIDATION, checkpoint_dir=tmp_path)
