import dataclasses

import jax
import numpy as np
import pytest

from cnnjax.data import Dataset
from cnnjax.errors import BadArgument
from cnnjax.experiment import compare, comparison, parse_contestants, read_results, write_report
from cnnjax.experiment.results import ResultsDirectory
from cnnjax.train import Hyper, Recipe, evaluate

RECIPE = Recipe(epochs=2, batch_size=8)
HYPER = Hyper(learning_rate=0.05)
NETWORKS = ("conv=cnn:spec=conv2-relu-gap", "linear=cnn:spec=fc3")
TIMES = ("seconds", "images_per_second", "train_seconds", "compile_seconds", "finished")


class Killed(BaseException):
    """What ends the process here."""


def toy(split, size):
    random = np.random.default_rng(size)
    labels = (np.arange(size) % 3).astype(np.int32)
    noise = random.integers(0, 128, (size, 6, 6, 1))
    return Dataset("toy", split, (noise + 60 * labels[:, None, None, None]).astype(np.uint8),
                   labels, ("a", "b", "c"))  # fmt: skip


TRAIN, TEST = toy("train", 30), toy("test", 12)


def run(out, networks=NETWORKS, seeds=(0, 1), recipe=RECIPE, hyper=HYPER, **options):
    options = {"validation": 0.2, "command": "again", **options}
    contestants = parse_contestants(networks)
    return compare(contestants, TRAIN, TEST, recipe, hyper, seeds=seeds, out=out, **options)


def timeless(value):
    """Return results without what a clock measured."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return out


@pytest.fixture
def trained(monkeypatch):
    """The runs that were given to `fit`, as (spec, key)."""
    calls, fit = [], comparison.fit

    def counted(model, *arguments, **options):
        calls.append((model.spec, jax.random.key_data(arguments[4]).tolist()))
        return fit(model, *arguments, **options)

    monkeypatch.setattr(comparison, "fit", counted)
    return calls


def test_every_run_has_its_entry(whole):
    results = read_results(whole)
    assert [(r["network"], r["seed"]) for r in results["runs"]] == [
        ("conv", 0), ("conv", 1), ("linear", 0), ("linear", 1),
    ]  # fmt: skip
    assert results["recipe"] == RECIPE.to_dict()
    assert results["hyper"] == HYPER.to_dict()
    assert results["data"]["sizes"] == {"train": 24, "validation": 6, "test": 12}
    assert results["command"] == "again"
    assert not results["failures"]
    for entry in results["runs"]:
        assert 0 <= entry["test_accuracy"] <= 1
        assert len(entry["history"]) == 2
        assert {"train_loss", "validation_accuracy"} <= set(entry["history"][0])
        assert {"versions", "commit", "hardware", "train_seconds"} <= set(entry)
        assert entry["parameters"] > 0
        assert entry["multiply_adds"] > 0
    # One compilation serves all seeds.
    first, second = (r["compile_seconds"] for r in results["runs"][:2])
    assert second < first / 4


def test_arrays_agree_with_the_entry(whole):
    results = read_results(whole)
    directory = ResultsDirectory(whole, results)
    for entry in results["runs"]:
        arrays = directory.arrays(entry)
        assert (arrays["predicted"] == TEST.labels).mean() == pytest.approx(entry["test_accuracy"])
        assert ((arrays["confidence"] > 1 / 3) & (arrays["confidence"] <= 1)).all()
        assert ("filters_after" in arrays) == (entry["network"] == "conv")
    filters = directory.arrays(results["runs"][0])
    assert filters["filters_before"].shape == filters["filters_after"].shape == (3, 3, 1, 2)
    assert (filters["filters_before"] != filters["filters_after"]).any()


def test_filters_are_those_of_the_run(tmp_path, monkeypatch):
    kept, fit = [], comparison.fit

    def keeping(*arguments, **options):
        kept.append(fit(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(comparison, "fit", keeping)
    still = Hyper(learning_rate=0.0)  # trained without moving: before equals after
    results = run(tmp_path, networks=NETWORKS[:1], seeds=[3], hyper=still)
    arrays = ResultsDirectory(tmp_path, results).arrays(results["runs"][0])
    np.testing.assert_array_equal(arrays["filters_before"], arrays["filters_after"])
    kernel = kept[0].variables["params"]["0.conv2"]["kernel"]
    np.testing.assert_array_equal(arrays["filters_after"], kernel)
    model = parse_contestants(NETWORKS[:1])[0].build(3)
    again = evaluate(model, kept[0].variables, TEST, mean=kept[0].mean, std=kept[0].std)
    assert again["accuracy"] == results["runs"][0]["test_accuracy"]


def test_called_again_it_trains_nothing(whole, trained):
    before = (whole / "results.json").read_bytes()
    run(whole)
    assert trained == []
    assert (whole / "results.json").read_bytes() == before


@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_interrupted_while_training(tmp_path, whole, trained, monkeypatch, epoch):
    import contextlib

    epochs = []

    @contextlib.contextmanager
    def interrupting(name):
        def progress(report):
            if report.finished is not None:
                epochs.append(name)
                if len(epochs) == epoch:
                    raise KeyboardInterrupt

        yield progress

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, show_run=interrupting)
    finished = len(read_results(tmp_path)["runs"])
    assert finished == epoch // 2
    run(tmp_path, show_run=interrupting)
    # Every epoch of every run was trained once, and only the run under way was taken up again.
    assert len(epochs) == 4 * RECIPE.epochs
    assert len(trained) == 5
    assert trained[finished] == trained[finished + 1]
    assert timeless(read_results(tmp_path)) == timeless(read_results(whole))


@pytest.mark.parametrize("point", ["_arrays", "_enter", "_write"])
def test_killed_while_entering(tmp_path, whole, monkeypatch, point):
    owner = comparison if point == "_arrays" else ResultsDirectory
    original, calls = getattr(owner, point), []

    def killed(*arguments):
        calls.append(point)
        if len(calls) == 3:
            raise Killed
        return original(*arguments)

    monkeypatch.setattr(owner, point, killed)
    with pytest.raises(Killed):
        run(tmp_path)
    run(tmp_path)
    assert timeless(read_results(tmp_path)) == timeless(read_results(whole))


def test_more_networks_and_seeds_extend(tmp_path, whole, trained):
    run(tmp_path, networks=NETWORKS[1:], seeds=[1])
    run(tmp_path, networks=NETWORKS[1:], seeds=[0])
    run(tmp_path)
    assert len(trained) == 4
    found, expected = (timeless(read_results(path)["runs"]) for path in (tmp_path, whole))
    key = lambda entry: (entry["network"], entry["seed"])
    assert sorted(found, key=key) == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": dataclasses.replace(RECIPE, epochs=3)}, "its recipe.epochs is 2, not 3"),
        ({"hyper": Hyper(learning_rate=0.1)}, "its hyper.learning_rate is 0.05, not 0.1"),
        ({"validation": 0.0}, "its data.validation_fraction is 0.2, not 0.0"),
        ({"networks": ["conv=cnn:spec=fc5"]}, "its networks.conv"),
    ],
)
def test_another_experiment_is_refused(whole, trained, change, words):
    before = {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()}
    with pytest.raises(BadArgument, match=words):
        run(whole, **change)
    assert trained == []
    assert {file: file.read_bytes() for file in whole.rglob("*") if file.is_file()} == before


def test_a_loss_that_is_not_finite_fails_that_run_only(tmp_path, monkeypatch):
    fit = comparison.fit

    def diverging(model, train_set, test_set, recipe, hyper, *arguments, **options):
        if model.spec == "fc3":
            hyper = Hyper(learning_rate=1e30)
        return fit(model, train_set, test_set, recipe, hyper, *arguments, **options)

    monkeypatch.setattr(comparison, "fit", diverging)
    results = run(tmp_path, networks=NETWORKS[::-1])
    assert [(f["network"], f["seed"]) for f in results["failures"]] == [
        ("linear", 0), ("linear", 1),
    ]  # fmt: skip
    for failure in results["failures"]:
        assert failure["step"] >= 0
        assert f"at step {failure['step']}" in failure["error"]
    assert [run["network"] for run in results["runs"]] == ["conv", "conv"]
    monkeypatch.setattr(comparison, "fit", None)  # a failed run is not tried again either
    assert run(tmp_path, networks=NETWORKS[::-1]) == results
    assert "at step" in write_report(tmp_path, TEST).read_text()


@pytest.mark.parametrize("seeds", [[], [0, 0], [-1]])
def test_wrong_seeds(tmp_path, seeds):
    with pytest.raises(BadArgument, match="seeds: "):
        run(tmp_path, seeds=seeds)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("linear=cnn:spec=pool-pool-pool", "would leave less than 1x1"),
        ("lenet5:padding=6,act=relu", "network: 'lenet5:padding=6,act=relu' cannot be built"),
    ],
)
def test_a_network_that_cannot_run_is_refused_before_anything_is_written(tmp_path, network, words):
    with pytest.raises(BadArgument, match=words):
        run(tmp_path / "out", networks=[network])
    assert not (tmp_path / "out").exists()
