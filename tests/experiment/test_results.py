import errno
import json
import os

import numpy as np
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.experiment.results import ResultsDirectory, read_results

SHARED = {
    "data": {"name": "toy", "mean": [0.5]},
    "recipe": {"epochs": 2, "loss": "softmax"},
    "hyper": {"learning_rate": 0.1},
}
NETWORKS = {"a": {"model": "cnn", "fields": {"depths": (1, 2)}}, "b:x/y": {"model": "lenet5"}}
ARRAYS = {"predicted": np.array([1, 2], np.int32)}


def opened(path, shared=SHARED, networks=NETWORKS, command="make it"):
    return ResultsDirectory.opened(path, shared, networks, command)


def snapshot(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def filled(path):
    with opened(path) as directory:
        directory.add({"network": "b:x/y", "seed": 1, "history": [{"loss": float("inf")}]}, ARRAYS)
        directory.add({"network": "a", "seed": 0, "test_accuracy": np.float32(0.5)}, ARRAYS)
        directory.fail({"network": "a", "seed": 1, "step": 3, "error": "inf"})
    return path


def test_runs_are_kept_in_the_order_of_networks_and_seeds(tmp_path):
    path = filled(tmp_path / "out")
    results = read_results(path)
    assert [(run["network"], run["seed"]) for run in results["runs"]] == [("a", 0), ("b:x/y", 1)]
    assert results["runs"][1]["history"] == [{"loss": None}]  # JSON has no infinity
    assert results["command"] == "make it"
    with opened(path) as directory:
        assert directory.ended("a", 0)
        assert directory.ended("a", 1)
        assert not directory.ended("b:x/y", 0)
        for run in results["runs"]:
            np.testing.assert_array_equal(directory.arrays(run)["predicted"], [1, 2])


def test_commands_are_remembered_once(tmp_path):
    for command in ("one", "two", "one"):
        with opened(tmp_path, command=command):
            pass
    results = read_results(tmp_path)
    assert (results["command"], results["commands"]) == ("one", ["one", "two"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": {"epochs": 3, "loss": "softmax"}}, "its recipe.epochs is 2, not 3"),
        ({"hyper": {"learning_rate": 0.2}}, "its hyper.learning_rate is 0.1, not 0.2"),
        ({"data": {"name": "toy", "mean": [0.4]}}, r"its data.mean is \[0.5\], not \[0.4\]"),
        ({"recipe": {"epochs": 2}}, "its recipe.loss is 'softmax', not None"),
    ],
)
def test_another_experiment_is_refused_and_untouched(tmp_path, change, words):
    path = filled(tmp_path / "out")
    before = snapshot(path)
    with pytest.raises(BadArgument, match=words), opened(path, {**SHARED, **change}):
        pass
    assert snapshot(path) == before


def test_another_network_of_the_same_label_is_refused(tmp_path):
    path = filled(tmp_path / "out")
    other = {"a": {"model": "cnn", "fields": {"depths": (1, 3)}}}
    with (
        pytest.raises(BadArgument, match=r"networks\.a\.fields\.depths"),
        opened(path, networks=other),
    ):
        pass


def test_a_new_network_extends_the_experiment(tmp_path):
    path = filled(tmp_path / "out")
    with opened(path, networks={"c": {"model": "lenet5"}}) as directory:
        directory.add({"network": "c", "seed": 0}, ARRAYS)
    results = read_results(path)
    assert list(results["networks"]) == ["a", "b:x/y", "c"]
    assert len(results["runs"]) == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99}'])
def test_a_file_that_is_no_comparison_s(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises((BadArgument, Failed), match=r"results\.json"), opened(tmp_path):
        pass
    assert (tmp_path / "results.json").read_text() == content


def test_a_directory_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadArgument, match=r"holds no comparison but thesis\.tex"), opened(tmp_path):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(BadArgument, match="not a directory"), opened(tmp_path / "out"):
        pass
    with pytest.raises(Failed, match="cannot write"), opened(tmp_path / "out" / "below"):
        pass


def test_one_process_at_a_time(tmp_path):
    with opened(tmp_path), pytest.raises(Failed, match="another process"), opened(tmp_path):
        pass
    with opened(tmp_path):
        pass


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, failing):
    path = filled(tmp_path / "out")
    before = snapshot(path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(path) as directory:
        monkeypatch.setattr(os, failing, full)
        with pytest.raises(Failed, match="No space left"):
            directory.add({"network": "b:x/y", "seed": 2}, ARRAYS)
        monkeypatch.undo()
        assert not directory.ended("b:x/y", 2)
    assert snapshot(path) == before


def test_files_of_a_killed_process_are_cleared_away(tmp_path):
    path = filled(tmp_path / "out")
    for name in (".results.json.abc.tmp", "runs/.a-0.npz.abc.tmp"):
        (path / name).write_text("half")
    with opened(path):
        pass
    assert not list(path.rglob("*.tmp"))
    assert json.loads((path / "results.json").read_text())["runs"]


def test_a_run_s_checkpoint_goes_once_it_has_its_entry(tmp_path):
    with opened(tmp_path) as directory:
        place = directory.checkpoint_dir("b:x/y", 0)
        place.mkdir(parents=True)
        (place / "checkpoint").write_text("x")
        directory.add({"network": "b:x/y", "seed": 0}, ARRAYS)
    assert not (tmp_path / "checkpoints").exists()
