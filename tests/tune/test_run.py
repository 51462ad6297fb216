import dataclasses
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.data import Dataset
from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Hyper, PerClassAccuracy, Recipe, TopK, fit, key_of
from cnnjax.tune import TPE, Choice, Grid, LogUniform, Random, Uniform, read_search, tune
from cnnjax.tune import run as module

pytest.importorskip("optuna")

RECIPE = Recipe(epochs=2, batch_size=8, metrics={"top2": TopK(2), "each": PerClassAccuracy()})
SPACE = {"learning_rate": LogUniform(0.01, 1), "momentum": Uniform(0.1, 0.9)}


def a_set(name, seed, number=40):
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    images = rng.integers(0, 200, (number, 6, 6, 1)) + 25 * labels[:, None, None, None]
    return Dataset(name, "train", images.astype(np.uint8), labels, ("a", "b", "c"))


TRAIN, TEST = a_set("some", 0), a_set("some", 1)
MODEL = cnnjax.build("cnn", spec="conv2-relu-gap", num_classes=3)


def search(out, **changes):
    given = {"space": SPACE, "design": Random(), "trials": 6, "at_once": 2, "say": lambda line: 0}
    return tune(MODEL, TRAIN, TEST, RECIPE, Hyper(), out=out, **{**given, **changes})


@pytest.fixture
def trained(monkeypatch):
    """In place of training: the nearer the rate is to 0.2, the better; above 0.9 it diverges."""
    seen = []

    def sweep(model, train_set, test_set, recipe, hypers, keys, *, validation, progress):
        seen.append(([hyper.learning_rate for hyper in hypers], len(keys), test_set is not None))
        runs = []
        for hyper, key in ((hyper, key) for hyper in hypers for key in keys):
            score = 1 - abs(np.log(hyper.learning_rate / 0.2)) / 10
            entry = {"validation_accuracy": score, "validation_loss": 1 - score}
            entry |= {"validation_each": [score] * 3}
            failure = "diverged" if hyper.learning_rate > 0.9 else None
            noise = float(jax.random.uniform(key)) / 100
            test = {"accuracy": score - noise, "loss": 1.0} if test_set else {}
            history = [] if failure else [{**entry, "validation_accuracy": 0.1}, entry]
            runs.append(
                SimpleNamespace(
                    history=history, failure=failure, test=test, train_seconds=1.0,
                    compile_seconds=0.5,
                )
            )  # fmt: skip
        return runs

    monkeypatch.setattr(module, "sweep", sweep)
    return seen


def points(results):
    return [trial["scalars"] for trial in results["trials"]]


def test_trials_are_the_runs_that_fit_gives(tmp_path):
    """Of real runs: the scores are those of training with the same scalars, key and images."""
    results = search(tmp_path, trials=2, fresh=2, seed=5)
    from cnnjax.data import split_off

    fit_set, held_out = split_off(TRAIN, 0.1, 0)
    for trial in results["trials"]:
        hyper = dataclasses.replace(Hyper(), **trial["scalars"])
        run = fit(MODEL, fit_set, None, RECIPE, hyper, key_of(5), validation=held_out)
        assert trial["about"]["history"] == pytest.approx(
            [epoch["validation_accuracy"] for epoch in run.history]
        )
        assert trial["score"] == trial["about"]["history"][-1]
    winner = results["winner"]
    assert winner["score"] == max(trial["score"] for trial in results["trials"])
    assert [each["seed"] for each in winner["fresh"]] == [6, 7]
    hyper = dataclasses.replace(Hyper(), **winner["scalars"])
    run = fit(MODEL, fit_set, TEST, RECIPE, hyper, key_of(7), validation=held_out)
    assert winner["fresh"][1]["test"]["accuracy"] == pytest.approx(run.test["accuracy"])
    assert read_search(tmp_path) == results


def test_the_best_is_trained_on_fresh_seeds_some_to_a_program(tmp_path, trained):
    results = search(tmp_path)
    scores = {trial["number"]: trial["score"] for trial in results["trials"]}
    best = max((n for n in scores if scores[n] is not None), key=lambda n: scores[n])
    assert results["winner"]["number"] == best
    rate = results["trials"][best]["scalars"]["learning_rate"]
    # Trials never see the test set; the three fresh runs do, two to a program.
    assert [call[1:] for call in trained] == [(1, False)] * 3 + [(2, True), (1, True)]
    assert [call[0] for call in trained[3:]] == [[rate], [rate]]
    assert [each["seed"] for each in results["winner"]["fresh"]] == [1, 2, 3]
    assert len({each["test"]["accuracy"] for each in results["winner"]["fresh"]}) == 3


@pytest.mark.parametrize("design", [Random(), TPE(startup=3)])
def test_an_interrupted_search_ends_as_one_that_was_not(tmp_path, trained, design, monkeypatch):
    whole = search(tmp_path / "whole", trials=9, design=design)
    asked, inner = [], module.sweep

    def interrupted(*arguments, **options):
        asked.append(1)
        if len(asked) in (2, 4, 6):  # among trials, twice; then before the winner's first
            raise KeyboardInterrupt
        return inner(*arguments, **options)

    monkeypatch.setattr(module, "sweep", interrupted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "part", trials=9, design=design)
    assert points(search(tmp_path / "part", trials=9, design=design)) == points(whole)
    again = read_search(tmp_path / "part")
    assert again["winner"]["scalars"] == whole["winner"]["scalars"]
    calls = len(asked)
    assert search(tmp_path / "part", trials=9, design=design) == again
    assert len(asked) == calls  # nothing is trained twice


def test_several_processes_share_a_search(tmp_path, trained, monkeypatch):
    """A second worker begins while the first is at its first program, and takes the rest."""
    inner, results, begun = module.sweep, [], []

    def meanwhile(*arguments, **options):
        if not begun:
            begun.append(1)
            results.append(search(tmp_path))
        return inner(*arguments, **options)

    monkeypatch.setattr(module, "sweep", meanwhile)
    last = search(tmp_path)
    assert results[0]["winner"] is None  # the other was not done
    assert sum(trial["score"] is not None for trial in results[0]["trials"]) >= 3
    assert len(last["trials"]) == 6
    assert all(trial["about"] for trial in last["trials"])
    assert last["winner"] is not None
    assert points(last) == points(search(tmp_path / "alone"))


def test_more_trials_extend_a_search_and_other_settings_are_refused(tmp_path, trained):
    few = search(tmp_path)
    more = search(tmp_path, trials=8)
    assert points(more)[:6] == points(few)
    assert len(points(more)) == 8
    with pytest.raises(BadArgument, match=r"other settings: its space.momentum\..*; choose"):
        search(tmp_path, space={**SPACE, "momentum": Uniform(0.1, 0.8)})
    with pytest.raises(BadArgument, match="other settings: its seed is 0, not 1"):
        search(tmp_path, seed=1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(BadArgument, match="holds something else than a search"):
        search(tmp_path / "other")


def test_what_diverges_is_entered_and_never_wins(tmp_path, trained):
    space = {"learning_rate": Choice((0.95, 0.3, 0.2))}
    results = search(tmp_path, space=space, design=Grid(), trials=None)
    assert [trial["score"] is None for trial in results["trials"]] == [True, False, False]
    assert results["trials"][0]["about"]["failure"] == "diverged"
    assert results["winner"]["scalars"] == {"learning_rate": 0.2}
    with pytest.raises(Failed, match="no trial ended well"):
        search(tmp_path / "bad", space={"learning_rate": Choice((0.95, 0.99))}, trials=2)


def test_the_loss_is_minimized(tmp_path, trained):
    results = search(tmp_path, metric="loss")
    scores = [trial["score"] for trial in results["trials"] if trial["score"] is not None]
    assert results["winner"]["score"] == min(scores)


def test_a_rate_of_zero_has_a_program_of_its_own(tmp_path, trained):
    """It freezes, and a program freezes in all of its runs or in none."""
    space = {"backbone_rate": Choice((0, 0.5)), "learning_rate": Choice((0.2, 0.3))}
    search(tmp_path, space=space, design=Grid(), trials=None, at_once=4)
    assert [len(rates) for rates, _, tested in trained if not tested] == [2, 2]


def test_tpe_looks_where_it_was_good(tmp_path, trained):
    space = {"learning_rate": LogUniform(0.0001, 0.9)}
    found = search(tmp_path, space=space, design=TPE(startup=8), trials=40, at_once=1)
    late = [abs(np.log(each["learning_rate"] / 0.2)) for each in points(found)[20:]]
    early = [abs(np.log(each["learning_rate"] / 0.2)) for each in points(found)[:8]]
    assert np.median(late) < np.median(early) / 2
    assert found["importances"] == {"learning_rate": pytest.approx(1.0)}


def test_what_decides_is_important(tmp_path, trained):
    found = search(tmp_path, trials=60, at_once=10)
    assert found["importances"]["learning_rate"] > 0.8
    assert sum(found["importances"].values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "f1"}, "metric: unknown name 'f1'"),
        ({"at_once": 0}, "at_once: received 0"),
        ({"fresh": 0}, "fresh: received 0"),
        ({"seed": 2**32 - 1}, "seed: received 4294967298"),
        ({"design": "random"}, "design: received 'random'"),
        ({"space": [0.1, 0.2]}, "space: received"),
    ],
)
def test_wrong_arguments_leave_nothing(tmp_path, trained, changes, words):
    with pytest.raises(BadArgument, match=words):
        search(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


def test_a_metric_of_each_class_decides_nothing(tmp_path, trained):
    with pytest.raises(BadArgument, match="'each' is 3 numbers"):
        search(tmp_path, metric="each")


def test_a_damaged_journal_is_refused(tmp_path, trained):
    search(tmp_path)
    journal = tmp_path / "journal.log"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:3], lines[3][: len(lines[3]) // 2], *lines[4:]]) + "\n")
    with pytest.raises(Failed, match=r"journal.log is damaged"):
        search(tmp_path)
    assert len(json.loads((tmp_path / "results.json").read_text())["trials"]) == 6
