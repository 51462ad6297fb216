"""What is reported while a run goes is what its history will say."""

import io
import itertools

import jax
import numpy as np
import pytest
import rich.progress
import scipy.special

from cnnjax.data import statistics
from cnnjax.train import Hyper, Recipe, Report, course, fit, show_progress
from cnnjax.train.keys import named_key
from tests.train.toy import Linear, toy_set

TRAIN, VALIDATION = toy_set(20, "train"), toy_set(5, "validation")
KEY = jax.random.key(1)


def losses_of_a_run_that_does_not_learn(epochs, batch):
    """Return losses and accuracies `[epochs, steps]` of the drawn weights, batch by batch."""
    drawn = Linear().init(named_key(KEY, "init"), np.zeros((1, 8, 8, 1)), train=False)
    params = jax.tree.map(np.float64, drawn["params"])
    mean, std = statistics(TRAIN)
    x = ((TRAIN.images / 255.0 - mean) / std).reshape(20, -1)
    x = x @ params["body"]["kernel"] + params["body"]["bias"]
    logits = x @ params["head"]["kernel"] + params["head"]["bias"]
    losses = -scipy.special.log_softmax(logits, axis=1)[np.arange(20), TRAIN.labels]
    orders = [
        jax.random.permutation(jax.random.fold_in(named_key(KEY, "order"), epoch), 20)
        for epoch in range(epochs)
    ]
    chosen = np.stack(orders)[:, : 20 - 20 % batch].reshape(epochs, -1, batch)
    return losses[chosen].mean(-1), (logits.argmax(1) == TRAIN.labels)[chosen].mean(-1)


@pytest.fixture
def ticks(monkeypatch):
    """A clock that goes on by a quarter of a second whenever it is looked at."""
    ticks = (n / 4 for n in itertools.count())
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))


def still(progress, epochs=2, **arguments):
    recipe = Recipe(epochs=epochs, batch_size=6)
    return fit(
        Linear(), TRAIN, None, recipe, Hyper(learning_rate=0), KEY, progress=progress, **arguments
    )


def test_reports_are_of_the_epoch_so_far(ticks, monkeypatch):
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", 0.0)
    reports = []
    run = still(reports.append, validation=VALIDATION)
    losses, accuracies = losses_of_a_run_that_does_not_learn(2, 6)
    # Two looks and the end in each epoch of three steps.
    assert [r.step for r in reports] == [1, 2, 3, 4, 5, 6]
    assert [r.epoch for r in reports] == [1, 1, 1, 2, 2, 2]
    assert {(r.epochs, r.steps) for r in reports} == {(2, 6)}
    for report in reports:
        epoch, taken = report.epoch - 1, report.step - 3 * (report.epoch - 1)
        assert report.loss == pytest.approx(losses[epoch, :taken].mean(), rel=1e-5)
        assert report.accuracy == pytest.approx(accuracies[epoch, :taken].mean())
        assert report.seconds_left * report.images_per_second == pytest.approx(
            6 * (6 - report.step)
        )
    assert [r.finished for r in reports] == [None, None, run.history[0], None, None, run.history[1]]
    for entry, report in zip(run.history, reports[2::3], strict=True):
        assert report.images_per_second == entry["images_per_second"]
        assert entry["images_per_second"] * entry["seconds"] == pytest.approx(3 * 6)
        assert entry["train_loss"] == pytest.approx(losses[entry["epoch"] - 1].mean(), rel=1e-5)
    assert run.train_seconds == sum(entry["seconds"] for entry in run.history)
    assert [set(entry) for entry in run.history] == 2 * [
        {
            "epoch",
            "train_loss",
            "train_accuracy",
            "seconds",
            "images_per_second",
            "validation_loss",
            "validation_accuracy",
        }
    ]


def test_a_fast_run_is_reported_at_the_ends_of_its_epochs(monkeypatch):
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", 1e9)
    reports = []
    run = still(reports.append)
    assert [r.step for r in reports] == [3, 6]
    assert [r.finished for r in reports] == run.history


def test_losses_are_looked_at_about_twice_a_second():
    assert course._SECONDS_BETWEEN_LOOKS == 0.5  # as `Progress` says


REPORT = Report(2, 3, 40, 60, 0.12345, 0.456, 1234.4, 65.4)


def test_an_epoch_is_a_line_where_there_is_no_terminal(capsys):
    with show_progress("digits") as progress:
        progress(REPORT)
        assert capsys.readouterr().out == ""
        progress(Report(*list(vars(REPORT).values())[:-1], finished={"epoch": 2}))
        progress(Report(*list(vars(REPORT).values())[:-1], finished={"validation_accuracy": 0.3}))
    plain, validated = capsys.readouterr().out.splitlines()
    assert plain == (
        "digits  epoch 2/3  loss 0.1235  accuracy 45.60%  1,234 images/s  1:05 left"
    ).replace("0.1235", f"{0.12345:.4f}")
    assert validated == plain.replace("45.60%", "45.60%  validation 30.00%")


def test_a_terminal_shows_a_bar_that_fills(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen, updates = Terminal(), []
    update = rich.progress.Progress.update

    def recorded(self, task, **values):
        updates.append((values["completed"], values["total"]))
        update(self, task, **values)

    monkeypatch.setattr(rich.progress.Progress, "update", recorded)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with show_progress("digits") as progress:
        progress(REPORT)
    assert updates == [(40, 60)]
    for words in ("digits", "epoch 2/3", "accuracy 45.60%", "1:05 left"):
        assert words in screen.getvalue()
