import copy
import errno
import json
import os

import numpy as np
import pytest

from cnnjax.compare import results as module
from cnnjax.compare.results import ResultsDirectory, read_results
from cnnjax.errors import BadArgument, Failed
from tests.compare import made_up

DATA = made_up.dataset(4)
SHARED = made_up.shared(DATA)
NETWORKS = {"a": made_up.network(depths=(1, 2)), "b:x/y": made_up.network()}
ARRAYS = made_up.arrays(DATA, wrong=[2])


def opened(path, shared=SHARED, networks=NETWORKS, command="make it"):
    return ResultsDirectory.opened(path, shared, networks, command)


def snapshot(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def filled(path):
    with opened(path) as directory:
        directory.add(made_up.run("b:x/y", 1, test_loss=float("inf")), ARRAYS)
        directory.add(made_up.run("a", 0, np.float32(0.5)), ARRAYS)
        directory.fail(made_up.failure("a", 1))
    return path


def changed(tree, *keys, to):
    """Return a deep copy with one leaf replaced."""
    tree = copy.deepcopy(tree)
    place = tree
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return tree


def test_runs_are_kept_in_the_order_of_networks_and_seeds(tmp_path):
    path = filled(tmp_path / "out")
    results = read_results(path)
    assert [(run["network"], run["seed"]) for run in results["runs"]] == [("a", 0), ("b:x/y", 1)]
    assert results["runs"][1]["test_loss"] is None  # JSON has no infinity
    assert results["command"] == "make it"
    with opened(path) as directory:
        assert directory.ended("a", 0)
        assert directory.ended("a", 1)
        assert not directory.ended("b:x/y", 0)
        assert not directory.ended("b:x/y", 2)
        for run in results["runs"]:
            np.testing.assert_array_equal(directory.arrays(run)["predicted"], [0, 1, 3, 3])


def test_commands_are_remembered_once(tmp_path):
    for command in ("one", "two", "one"):
        with opened(tmp_path, command=command):
            pass
    results = read_results(tmp_path)
    assert (results["command"], results["commands"]) == ("one", ["one", "two"])


def test_what_a_path_may_hold_and_a_terminal_must_not_see_is_written_escaped(tmp_path):
    with opened(tmp_path, command="compare --out \udcff\x1b[2J"):
        pass
    assert read_results(tmp_path)["command"] == r"compare --out \udcff\x1b[2J"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed(SHARED, "recipe", "epochs", to=3), "its recipe.epochs is 4, not 3"),
        (changed(SHARED, "hyper", "learning_rate", to=0.2), "its hyper.learning_rate is 0.05, not"),
        (changed(SHARED, "data", "mean", to=[0.4]), r"its data.mean is \[0.5\], not \[0.4\]"),
        (changed(SHARED, "recipe", to={"epochs": 4}), "its recipe batch_size is only there"),
        (changed(SHARED, "recipe", "new", to=1), "its recipe new is only here"),
    ],
)
def test_another_experiment_is_refused_and_untouched(tmp_path, change, words):
    path = filled(tmp_path / "out")
    before = snapshot(path)
    with pytest.raises(BadArgument, match=words), opened(path, change):
        pass
    assert snapshot(path) == before


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (made_up.network(depths=(1, 3)), r"'a': SpecNetwork.depths is \[1, 2\], not \[1, 3\]"),
        (
            {**NETWORKS["a"], "definition": {"ResNetCifar": {"depths": [1, 2]}}},
            "'a': SpecNetwork there, ResNetCifar here",
        ),
        ({**NETWORKS["a"], "argument": "other"}, "'a': argument is 'cnn', not 'other'"),
        (made_up.network(depths=(1, 2), width=2), "'a': SpecNetwork width is only here"),
    ],
)
def test_another_network_of_the_same_label_is_refused_in_words(tmp_path, other, words):
    path = filled(tmp_path / "out")
    before = snapshot(path)
    with pytest.raises(BadArgument, match=words), opened(path, networks={"a": other}):
        pass
    assert snapshot(path) == before


def test_a_new_network_extends_the_experiment(tmp_path):
    path = filled(tmp_path / "out")
    with opened(path, networks={"c": made_up.network()}) as directory:
        directory.add(made_up.run("c", 0), ARRAYS)
    results = read_results(path)
    assert list(results["networks"]) == ["a", "b:x/y", "c"]
    assert len(results["runs"]) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}', "{}", '"\udcff"', "[" * 9999])
def test_a_file_that_is_no_comparison_s(tmp_path, content):
    (tmp_path / "results.json").write_text(content, errors="surrogateescape")
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises((BadArgument, Failed), match=r"results\.json"), opened(tmp_path):
        pass
    assert (tmp_path / "results.json").read_bytes() == before


def test_a_directory_without_results(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(BadArgument, match=r"out: there is no file .*results\.json"):
            read_results(path)


def test_neither_a_pipe_nor_a_directory_is_read(tmp_path):
    os.mkfifo(tmp_path / "results.json")
    with pytest.raises(BadArgument, match="a pipe"), opened(tmp_path):
        pass
    os.unlink(tmp_path / "results.json")
    path = filled(tmp_path / "out")
    (path / "runs" / "a-0.npz").unlink()
    os.mkfifo(path / "runs" / "a-0.npz")
    before = (path / "results.json").read_bytes()
    with pytest.raises(BadArgument, match="a pipe"), opened(path, command="another"):
        pass
    assert (path / "results.json").read_bytes() == before


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
    with opened(tmp_path), pytest.raises(Failed, match="another run"), opened(tmp_path):
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
            directory.add(made_up.run("b:x/y", 2), ARRAYS)
        with pytest.raises(Failed, match="No space left"):
            directory.fail(made_up.failure("b:x/y", 2))
        monkeypatch.undo()
        assert not directory.ended("b:x/y", 2)
        directory.add(made_up.run("b:x/y", 3), ARRAYS)  # and the directory goes on
    assert {file: content for file, content in snapshot(path).items() if file in before} != before
    assert [run["seed"] for run in read_results(path)["runs"]] == [0, 1, 3]
    assert not list(path.rglob("*.tmp"))


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    """Who has opened results.json reads on in what it was; a run's arrays are there before it."""
    replace, seen = os.replace, []

    def watched(source, target):
        replace(source, target)
        seen.append(os.path.basename(target))
        for run in read_results(tmp_path)["runs"]:
            ResultsDirectory(tmp_path, SHARED).arrays(run)

    monkeypatch.setattr(os, "replace", watched)
    with opened(tmp_path) as directory:
        before = (tmp_path / "results.json").read_text()
        with (tmp_path / "results.json").open() as reader:
            start = reader.read(20)
            directory.add(made_up.run("a", 0), ARRAYS)
            assert start + reader.read() == before
    assert seen == ["results.json", "a-0.npz", "results.json"]


def test_only_our_own_half_written_files_are_cleared_away(tmp_path):
    path = filled(tmp_path / "out")
    for name in (".results.json.abc.tmp", "runs/.a-0.npz.abc.tmp", ".report.html.x.tmp"):
        (path / name).write_text("half")
    for name in (".mine.tmp", "notes.tmp", "runs/mine.npz"):
        (path / name).write_text("mine")
    with opened(path):
        pass
    assert {file.name for file in path.rglob("*.tmp")} == {".mine.tmp", "notes.tmp"}
    assert (path / "runs" / "mine.npz").read_text() == "mine"
    assert json.loads((path / "results.json").read_text())["runs"]


def test_what_the_first_write_left_half_done_is_no_obstacle(tmp_path):
    (tmp_path / ".results.json.abc.tmp").write_text("half")
    (tmp_path / ".lock").touch()
    with opened(tmp_path):
        pass
    assert read_results(tmp_path)["runs"] == []


def test_a_run_s_checkpoint_goes_once_it_has_its_entry(tmp_path):
    with opened(tmp_path) as directory:
        places = [directory.checkpoint_dir("b:x/y", seed) for seed in (0, 1)]
        for place in places:
            place.mkdir(parents=True)
            (place / "checkpoint").write_text("x")
        directory.add(made_up.run("b:x/y", 0), ARRAYS)
        assert [place.exists() for place in places] == [False, True]
        directory.fail(made_up.failure("b:x/y", 1))
    assert not (tmp_path / "checkpoints").exists()


def test_labels_that_look_alike_have_files_of_their_own(tmp_path):
    twins = ["a b", "a/b", "A b", "a_b", "A_b", "a" * 70, "a" * 71, "..", "é", "e"]
    twins.append(f"{module._file_name('a b')}")  # the very name of another's file
    with opened(tmp_path, networks=dict.fromkeys(twins, made_up.network())) as directory:
        for seed, label in enumerate(twins):
            directory.add(made_up.run(label, 0), made_up.arrays(DATA, wrong=range(seed % 4)))
        names = [run["arrays"].lower() for run in directory.results["runs"]]
        assert len(set(names)) == len(twins)
        assert len({directory.checkpoint_dir(label, 0) for label in twins}) == len(twins)
        for seed, label in enumerate(twins):
            (entry,) = (run for run in directory.results["runs"] if run["network"] == label)
            wrong = directory.arrays(entry)["predicted"] != DATA.labels
            assert wrong.sum() == seed % 4


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    with opened(tmp_path) as directory:
        before = (tmp_path / "results.json").read_bytes()
        with pytest.raises(Failed, match="test_accuracy"):
            directory.add(made_up.run("a", 0, 1.5), ARRAYS)
        assert (tmp_path / "results.json").read_bytes() == before
        assert not directory.ended("a", 0)
