import json
import sys

import numpy as np
import pytest

from cnnjax.cli import main
from cnnjax.data import Dataset, Splits

NETWORKS = ("conv=cnn:spec=conv2-relu-gap", "linear=cnn:spec=fc3")


@pytest.fixture(autouse=True)
def _toy_data(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")

    def part(name, split):
        images = np.random.default_rng(len(split)).integers(0, 256, (30, 6, 6, 1))
        labels = (np.arange(30) % 3).astype(np.int32)
        return Dataset(name, split, images.astype(np.uint8), labels, ("a", "b", "c"))

    def load_splits(name, *_, **__):
        return Splits(part(name, "train"), part(name, "test"), "toy/1.0.0", "")

    monkeypatch.setattr("cnnjax.cli.images.load_splits", load_splits)


def compare(out, *more, networks=NETWORKS):
    sizes = ("--seeds", "2", "--epochs", "1", "--batch-size", "8", "--augment", "")
    return main(["compare", *networks, "--data", "toy", "--out", str(out), *sizes, *more])


def test_results_report_and_table(tmp_path, capsys):
    assert compare(tmp_path) == 0
    out = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(r["network"], r["seed"]) for r in results["runs"]] == [
        (network, seed) for network in ("conv", "linear") for seed in (0, 1)
    ]
    assert results["recipe"]["epochs"] == 1
    assert results["data"]["source"] == "toy/1.0.0"
    assert (tmp_path / "report.html").stat().st_size > 10_000
    for run in results["runs"]:
        assert run["network"] in out
        assert f"{run['parameters']:,}" in out
    assert "difference with" in out
    # A failed run, on terms that cannot go well, in a directory of its own.
    other = tmp_path / "other"
    assert compare(other, "--learning-rate", "1e30", "--json", networks=NETWORKS[1:]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((other / "results.json").read_text())
    assert [failure["seed"] for failure in printed["failures"]] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "cifar100"], "did you mean 'cifar10'"),
        (["--seeds", "0"], "seeds: received 0"),
        (["--epochs", "0"], "epochs: received 0"),
    ],
)
def test_bad_arguments(tmp_path, capsys, arguments, words):
    assert compare(tmp_path / "out", *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("lenet5:num_classes=3", "num_classes comes from the data"),
        ("linear=lenet5", "'linear' is given twice"),
        ("lenet6", "did you mean 'lenet5'"),
    ],
)
def test_bad_networks(tmp_path, capsys, network, words):
    assert compare(tmp_path / "out", networks=(*NETWORKS, network)) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_directory_of_another_experiment(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert compare(tmp_path) == 2
    assert "holds no comparison but notes.txt" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["scipy", "matplotlib", "jinja2"])
def test_a_package_that_the_report_needs_is_asked_for_before_training(
    tmp_path, capsys, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert compare(tmp_path / "out") == 1
    assert f"needs the package {package}: pip install 'cnnjax[report]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
