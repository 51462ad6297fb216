import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnjax.data.augment import RandomCrop
from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Checkpointing, Hyper, Recipe, course, fit, saving
from cnnjax.train.checkpoint import CHECKPOINTS, path_of, saved_steps
from tests.train.toy import Linear, Toy, toy_set

TRAIN, VALIDATION = toy_set(64, "train"), toy_set(20, "validation")
RECIPE = Recipe(epochs=4, batch_size=16, augment=(RandomCrop(1),))
HYPER, KEY = Hyper(), jax.random.key(5)


def files(directory):
    """Return the content of every file of the checkpoints of a run, by its path."""
    found = sorted((directory / CHECKPOINTS).rglob("*"))
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def train(directory=None, progress=None, **changes):
    arguments = {"model": Toy(), "train_set": TRAIN, "recipe": RECIPE, "hyper": HYPER, "key": KEY}
    return fit(
        **(arguments | {"test_set": None, "validation": VALIDATION} | changes),
        checkpoint_dir=directory,
        progress=progress,
    )


def result(run):
    times = ("seconds", "images_per_second")
    history = [{k: v for k, v in entry.items() if k not in times} for entry in run.history]
    return history, [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(run.state)]


def stop_after(epoch):
    def progress(report):
        if report.finished and report.epoch == epoch:
            raise KeyboardInterrupt

    return progress


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after(2))
    epochs = []
    resumed = train(tmp_path, lambda report: epochs.append(report.epoch))
    assert min(epochs) == 3
    assert result(resumed) == result(train())
    assert result(train(tmp_path)) == result(resumed)  # a complete run is only read
    assert saved_steps(tmp_path) == [16]


def program(directory, body, **options):
    """Return a process that trains, and what it is told to do in a report of its progress."""
    text = (
        "import os, signal, time, tests.train.test_checkpoint as t\n"
        "t.course._SECONDS_BETWEEN_LOOKS = -1\n"
        f"def told(report):\n    {body}\n"
        f"t.train({str(directory)!r}, told, checkpointing=t.Checkpointing(**{options}))\n"
    )
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", text], env=os.environ | {"PYTHONPATH": root}, check=False
    )


@pytest.mark.parametrize("step", [3, 10])
def test_a_killed_process_goes_on_inside_of_an_epoch_to_the_same_bits(tmp_path, step):
    """Killed a step after one that was saved, or while that is written: it is not waited for."""
    body = f"if report.step == {step}: os.kill(os.getpid(), signal.SIGKILL)"
    done = program(tmp_path, body, every_steps=1)
    assert done.returncode == -signal.SIGKILL
    assert saved_steps(tmp_path)[-1] in (step - 1, step)
    reports = []
    assert result(train(tmp_path, reports.append)) == result(train())
    assert reports[-1].step == 16


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", range(0, 300, 20))
def test_killed_at_any_moment_of_a_write_it_goes_on_to_the_same_bits(tmp_path, milliseconds):
    body = (
        f"report.step == 7 and (time.sleep({milliseconds / 1000}), "
        "os.kill(os.getpid(), signal.SIGKILL))"
    )
    assert program(tmp_path, body, every_steps=7).returncode == -signal.SIGKILL
    assert saved_steps(tmp_path) in ([], [4], [7])
    assert result(train(tmp_path)) == result(train())


def test_an_exception_of_progress_is_raised_after_a_checkpoint_of_where_it_stands(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1.0)

    def stop(report):
        if report.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop)
    assert saved_steps(tmp_path) == [6]
    reports = []
    resumed = train(tmp_path, reports.append)
    assert reports[0].step == 7
    assert result(resumed) == result(train())


def test_the_newest_and_the_best_are_kept(tmp_path):
    how = Checkpointing(last=2, best=1, best_by="validation_loss", lowest=True)
    run = train(tmp_path, checkpointing=how)
    losses = [entry["validation_loss"] for entry in run.history]
    best = 4 * (1 + int(np.argmin(losses)))
    assert saved_steps(tmp_path) == sorted({12, 16, best})
    with pytest.raises(BadArgument, match="best: received 1 without a validation set"):
        train(tmp_path, checkpointing=how, validation=None)
    with pytest.raises(BadArgument, match="checkpointing: there is no checkpoint_dir"):
        train(checkpointing=how)


def test_which_are_kept():
    history = [{"validation_accuracy": value} for value in (0.5, 0.9, 0.7, float("nan"), 0.9)]
    how = Checkpointing(last=1, best=2)
    assert how.kept([10, 20, 30, 35, 40, 50], history, 10) == {20, 50}
    assert how.kept([10, 20, 30, 35], history, 10) == {20, 30, 35}
    assert Checkpointing(last=2).kept([10, 20, 30], [], 10) == {20, 30}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"key": jax.random.key(6)}, "key"),
        ({"hyper": Hyper(momentum=0.5)}, "hyper.*momentum"),
        (
            {"recipe": dataclasses.replace(RECIPE, augment=(RandomCrop(2),))},
            "recipe.*augment.*padding is 1, not 2",
        ),
        ({"train_set": toy_set(64, "train", seed=1)}, "train_set"),
        ({"model": Linear(width=3)}, "model is .*Toy.*, not .*Linear"),
        ({"validation": None}, "validation"),
        ({"normalization": (np.zeros(1), np.ones(1))}, "start"),
    ],
)
def test_another_runs_checkpoint_is_refused_and_kept(tmp_path_factory, change, name):
    directory = tmp_path_factory.getbasetemp() / "of_one_run"
    if not saved_steps(directory):
        train(directory)
    before = files(directory)
    with pytest.raises(BadArgument, match=f"another run: its {name}"):
        train(directory, **change)
    assert files(directory) == before


def test_a_full_disk_is_told_and_the_run_goes_on(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after(1))
    write = saving.write_checkpoint

    def full(path, *rest):
        (path.parent / f"{path.name}.orbax-checkpoint-tmp").mkdir()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "write_checkpoint", full)
        with pytest.warns(UserWarning, match=r"checkpoint_dir: .*No space left.*the run goes on"):
            run = train(tmp_path)
    assert result(run) == result(train())
    assert os.listdir(tmp_path / CHECKPOINTS) == [path_of(tmp_path, 4).name]
    assert result(train(tmp_path)) == result(run)
    assert saving.write_checkpoint is write


def test_a_directory_that_cannot_be_made_fails_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot write"):
        train(tmp_path / "file" / "runs")


def test_a_run_of_an_earlier_version_is_refused_and_kept(tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"half")
    with pytest.raises(BadArgument, match="an earlier version of cnnjax wrote it"):
        train(tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == b"half"


def test_two_runs_never_share_a_directory(tmp_path):
    refused = []

    def meanwhile(report):
        with pytest.raises(Failed, match="checkpoint_dir: another run is writing to") as error:
            train(tmp_path)
        refused.append(error)

    alone = train(tmp_path, meanwhile)
    assert refused
    assert result(alone) == result(train())
    assert result(train(tmp_path)) == result(alone)  # it is free again


def test_a_run_from_other_numbers_is_another_run(tmp_path):
    """Names and shapes are the same, one number in one array is not."""
    start = jax.tree.map(np.array, train().variables)
    train(tmp_path, variables=start)
    train(tmp_path, variables=jax.tree.map(np.copy, start))
    start["params"]["Dense_0"]["bias"][0] += 1
    with pytest.raises(BadArgument, match="another run: its start"):
        train(tmp_path, variables=start)
