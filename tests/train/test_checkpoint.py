import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnjax.data.augment import RandomCrop
from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Hyper, Recipe, fit
from cnnjax.train.checkpoint import CHECKPOINT
from tests.train.toy import Linear, Toy, toy_set

TRAIN, VALIDATION = toy_set(64, "train"), toy_set(20, "validation")
RECIPE = Recipe(epochs=4, batch_size=16, augment=(RandomCrop(1),))
HYPER, KEY = Hyper(), jax.random.key(5)


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
    assert sorted(os.listdir(tmp_path)) == [".lock", CHECKPOINT]


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path):
    program = (
        "import os, signal, tests.train.test_checkpoint as t\n"
        "def kill(report):\n"
        "    if report.epoch == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"t.train({str(tmp_path)!r}, kill)\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == -9
    assert result(train(tmp_path)) == result(train())


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
    train(directory)
    before = (directory / CHECKPOINT).read_bytes()
    with pytest.raises(BadArgument, match=f"another run: its {name}"):
        train(directory, **change)
    assert (directory / CHECKPOINT).read_bytes() == before


def test_a_failed_write_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after(1))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Failed, match="No space left"):
            train(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", CHECKPOINT]
    assert result(train(tmp_path)) == result(train())


def test_a_directory_that_cannot_be_made_fails_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match="cannot write"):
        train(tmp_path / "file" / "runs")


def test_a_damaged_checkpoint_is_an_error_and_not_a_new_run(tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"half")
    with pytest.raises(Failed, match="damaged"):
        train(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == b"half"


def test_a_bit_that_flipped_is_seen_before_it_is_trained_with(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_after(1))
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    content[-100] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(Failed, match="damaged: its bytes are not those that were written"):
        train(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == content


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


def test_equal_runs_leave_equal_files(tmp_path, monkeypatch):
    """Apart from what clocks say, which is made equal here."""
    contents = []
    for name in "ab":
        ticks = itertools.count()
        monkeypatch.setattr("time.perf_counter", lambda ticks=ticks: float(next(ticks)))
        train(tmp_path / name)
        contents.append((tmp_path / name / CHECKPOINT).read_bytes())
    assert contents[0] == contents[1]


def test_a_run_from_other_numbers_is_another_run(tmp_path):
    """Names and shapes are the same, one number in one array is not."""
    start = jax.tree.map(np.array, train().variables)
    train(tmp_path, variables=start)
    train(tmp_path, variables=jax.tree.map(np.copy, start))
    start["params"]["Dense_0"]["bias"][0] += 1
    with pytest.raises(BadArgument, match="another run: its start"):
        train(tmp_path, variables=start)
