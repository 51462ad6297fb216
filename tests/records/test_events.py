"""What is logged is what the history says, once each, whatever was interrupted in between."""

import json
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pandas
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.records import JsonLines, TensorBoard, WeightsAndBiases
from cnnjax.train import Hyper, PerClassAccuracy, Recipe, course, fit, sweep
from tests.train.toy import Toy, toy_set

TRAIN, VALIDATION = toy_set(50, "train"), toy_set(10, "validation")
RECIPE, HYPER = Recipe(epochs=3, batch_size=8), Hyper(learning_rate=0.1)
KEY = jax.random.key(2)


def run(directory=None, **options):
    return fit(
        Toy(), TRAIN, None, RECIPE, HYPER, KEY, validation=VALIDATION, log_every=4,
        checkpoint_dir=directory, **options,
    )  # fmt: skip


def read(directory):
    return pandas.read_json(directory / "metrics.jsonl", lines=True)


def test_steps_and_epochs_are_lines_that_pandas_reads(tmp_path):
    """Of 6 steps an epoch: a line at 4, 8, ... is of the steps since the last in its epoch."""
    losses = []
    done = run(tmp_path)
    fit(
        Toy(), TRAIN, None, RECIPE, HYPER, KEY, log_every=1,
        loggers=[lambda step, values: losses.append(values.get("loss"))],
    )  # fmt: skip
    each = [loss for loss in losses if loss is not None]
    table = read(tmp_path)
    steps = table[table.loss.notna()]
    assert steps.step.tolist() == [4, 8, 12, 16]
    assert steps.epoch.tolist() == [1, 2, 2, 3]
    wanted = [np.mean(each[a:b]) for a, b in ((0, 4), (6, 8), (8, 12), (12, 16))]
    np.testing.assert_allclose(steps.loss, wanted, rtol=1e-12)
    epochs = table[table.train_loss.notna()]
    assert epochs.step.tolist() == [6, 12, 18]
    for row, entry in zip(epochs.to_dict("records"), done.history, strict=True):
        assert {n: row[n] for n in entry} == pytest.approx(entry)


def test_no_line_is_doubled_or_lost_by_a_run_that_was_interrupted(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1.0)

    def interrupt(report):
        if report.step in (5, 12):
            seen.append(report.step)
            raise KeyboardInterrupt

    seen = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", progress=interrupt)
    path = tmp_path / "cut" / "metrics.jsonl"
    # As if it had gone on after its checkpoint, and was killed in the middle of a line.
    path.write_bytes(path.read_bytes() + b'{"step": 16, "epoch": 3, "loss": 7.0}\n{"step": 18, ')
    run(tmp_path / "cut")
    assert seen == [5, 12]
    times = ["seconds", "images_per_second"]
    whole, cut = (read(tmp_path / name).drop(columns=times) for name in ("whole", "cut"))
    pandas.testing.assert_frame_equal(cut, whole)
    before = path.read_bytes()
    run(tmp_path / "cut")  # it is finished
    assert path.read_bytes() == before


def test_several_runs_have_lines_of_their_own_and_classes_columns(tmp_path):
    recipe = Recipe(epochs=1, batch_size=25, metrics={"each": PerClassAccuracy()})
    runs = sweep(
        Toy(), TRAIN, None, recipe, [HYPER], list(jax.random.split(KEY, 2)), log_every=2,
        checkpoint_dir=tmp_path,
    )  # fmt: skip
    table = read(tmp_path)
    assert table.run.tolist() == [0, 1, 0, 1]
    ends = table[table.train_loss.notna()]
    for (_, row), one in zip(ends.iterrows(), runs, strict=True):
        entry = one.history[0]
        assert row["train_loss"] == pytest.approx(entry["train_loss"], rel=1e-9)
        each = [row[f"train_each/{i}"] for i in range(3)]
        assert each == pytest.approx(entry["train_each"], rel=1e-9)  # pandas rounds


def test_what_is_not_finite_is_null_and_a_full_disk_is_told(tmp_path):
    logger = JsonLines(tmp_path / "deep" / "m.jsonl")
    logger(1, {"loss": float("nan"), "accuracy": 0.5})
    line = (tmp_path / "deep" / "m.jsonl").read_text()
    assert json.loads(line) == {"step": 1, "loss": None, "accuracy": 0.5}
    with pytest.warns(UserWarning, match=r"cannot write to .*: Is a directory; the run goes on"):
        JsonLines(tmp_path)(1, {})
    full = JsonLines("/dev/full")
    full._begun = True
    with pytest.warns(UserWarning, match=r"No space left on device; the run goes on"):
        full(1, {})


def test_a_disk_that_is_full_when_a_run_is_resumed_doubles_no_line(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 4}\n{"step": 8}\n')
    logger = JsonLines(path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.warns(UserWarning, match=r"No space left on device.*; the run goes on"):
            logger(6, {})
    logger(12, {})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [4, 12]


@pytest.mark.parametrize(
    "options", [{"log_every": 0}, {"log_every": 1.5}, {"loggers": print}, {"loggers": [1]}]
)
def test_bad_arguments_are_named(options):
    (name,) = options
    with pytest.raises(BadArgument, match=f"{name}: received"):
        fit(Toy(), TRAIN, None, RECIPE, HYPER, KEY, **options)


class Writer:
    def __init__(self, directory, purge_step):
        self.begun, self.scalars = (directory, purge_step), []
        Writer.made = self

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        self.flushed = len(self.scalars)


def test_tensorboard_gets_scalars_and_voids_what_a_resumed_run_takes_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer))
    logger = TensorBoard("events")
    logger(40, {"epoch": 1, "loss": 0.5})
    logger(50, {"run": 2, "loss": 0.25})
    assert Writer.made.begun == ("events", 40)
    assert Writer.made.scalars == [("epoch", 1, 40), ("loss", 0.5, 40), ("run2/loss", 0.25, 50)]
    assert Writer.made.flushed == 3


def test_weights_and_biases_get_numbers_by_step(tmp_path, monkeypatch):
    calls = []

    def init(**options):
        calls.append(options)
        return SimpleNamespace(log=lambda values, step: calls.append((values, step)))

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    logger = WeightsAndBiases("project", "mine", tmp_path / "new")
    logger(40, {"epoch": 1, "loss": 0.5})
    assert calls[0]["id"] == calls[0]["name"] == "mine"
    assert calls[0]["resume"] == "allow"
    assert calls[1] == ({"epoch": 1, "loss": 0.5}, 40)


def test_without_its_package_a_logger_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(Failed, match=r"pip install 'cnnjax\[tensorboard\]'"):
        TensorBoard(tmp_path)
    with pytest.raises(Failed, match=r"pip install 'cnnjax\[wandb\]'"):
        WeightsAndBiases("project", "mine", tmp_path)
