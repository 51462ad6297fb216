import json

import pytest

from cnnjax.cli import main
from cnnjax.cli import sweep as module
from cnnjax.errors import Failed
from cnnjax.tune import Grid, LogUniform, Sobol

pytest.importorskip("optuna")

COMMAND = ["sweep", "cnn", "--spec", "conv2-relu-gap", "--data", "digits", "--epochs", "1"]
COMMAND += ["--batch-size", "256", "--over", "learning_rate=loguniform:low=0.01,high=1"]


def test_a_search_prints_and_leaves_its_trials_and_the_winner(tmp_path, capsys):
    command = [*COMMAND, "--design", "grid:points=2", "--fresh", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert [trial["scalars"] for trial in results["trials"]] == [
        {"learning_rate": pytest.approx(0.01)},
        {"learning_rate": pytest.approx(1.0)},
    ]
    accuracies = [100 * run["test"]["accuracy"] for run in results["winner"]["fresh"]]
    mean = sum(accuracies) / 2
    spread = abs(accuracies[0] - accuracies[1]) / 2**0.5  # of two, by Bessel's correction
    assert f"on 2 fresh seeds: test accuracy {mean:.2f} ± {spread:.2f} %" in shown
    scores = [trial["score"] for trial in results["trials"]]
    table = [line.split() for line in shown.splitlines()]
    rows = [row for row in table if len(row) == 3 and row[0] in ("0", "1")]
    assert [float(row[2]) for row in rows] == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
    assert (tmp_path / "trials.svg").read_text().count("<path") > 5
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == results


@pytest.fixture
def asked(monkeypatch):
    """What the command hands to `tune`."""
    seen = {}

    def tune(model, train_set, test_set, recipe, hyper, space, **options):
        seen.update(options, space=space, hyper=hyper, recipe=recipe)
        raise Failed("as far as this")

    monkeypatch.setattr(module, "tune", tune)
    return seen


def test_what_is_searched_and_how(tmp_path, asked, capsys):
    command = [*COMMAND, "--out", str(tmp_path), "--momentum", "0.8", "--metric", "loss"]
    assert main([*command, "--design", "sobol", "--trials", "8", "--at-once", "2"]) == 1
    assert capsys.readouterr().err == "cnnjax: as far as this\n"
    assert asked["space"] == {"learning_rate": LogUniform(0.01, 1)}
    assert (asked["design"], asked["trials"], asked["at_once"]) == (Sobol(), 8, 2)
    assert (asked["hyper"].momentum, asked["metric"], asked["recipe"].epochs) == (0.8, "loss", 1)
    assert main([*command, "--design", "grid"]) == 1
    assert (asked["design"], asked["trials"]) == (Grid(3), None)  # all of them
    assert main(command) == 1
    assert asked["trials"] == 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--over", "learning_rate=log"], "over: unknown name 'log'"),
        (["--over", "rate=uniform:low=0,high=1"], "space: unknown name 'rate'"),
        (
            ["--over", "learning_rate=uniform:low=0"],
            "over: uniform lacks high, as in uniform:high",
        ),
        (["--design", "halton"], "design: unknown name 'halton'"),
    ],
)
def test_wrong_searches_are_named(tmp_path, capsys, changes, words):
    assert main([*COMMAND, "--out", str(tmp_path / "new"), *changes]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
