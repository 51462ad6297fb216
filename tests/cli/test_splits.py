"""`train` and `compare` take slices and other splits, and say and record what they took."""

import json

import numpy as np
import pytest

from cnnjax.cli import compare, main, train
from cnnjax.data import Dataset, Splits, load, split_off
from cnnjax.errors import Failed

TRAIN = ["train", "cnn", "--spec", "conv2-relu-gap", "--data", "digits"]
COMPARE = ["compare", "a=cnn:spec=conv2-relu-gap", "--data", "digits", "--seeds", "1"]
SLICES = ["--train-split", "train[:64]", "--test-split", "train[64:96]"]
SHORT = ["--epochs", "1", "--batch-size", "32"]


@pytest.fixture(autouse=True)
def directory(monkeypatch, tmp_path):
    """Return where the datasets of a test are prepared."""
    pytest.importorskip("tensorflow_datasets")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


class Stop(Failed):
    """Raised where the training would begin."""


@pytest.fixture
def begun(monkeypatch):
    """Record the data that a run, or a comparison, would begin with."""
    found = []

    def compared(contestants, train_set, test_set, recipe, hyper, *, source, **_):
        found.append((train_set, test_set, source))
        raise Stop("begun")

    def fit(model, train_set, test_set, recipe, hyper, key, *, validation, **_):
        found.append((train_set, test_set, validation))
        raise Stop("begun")

    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(compare.comparison, "compare", compared)
    return found


def test_slices_and_their_record(directory, tmp_path, capsys):
    assert main([*TRAIN, *SLICES, *SHORT, "--out", str(tmp_path / "one"), "--json"]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    run = json.loads(captured.out)
    assert (run["train_split"], run["test_split"]) == ("train[:64]", "train[64:96]")


def test_compare_begins_with_what_was_asked_for(begun, directory, tmp_path):
    options = ["--resize", "6", "--data-dir", str(directory), "--out", str(tmp_path / "x")]
    assert main([*COMPARE, *SLICES, *options]) == 1
    assert main([*COMPARE, "--out", str(tmp_path / "y")]) == 1
    (learn, judge, source), whole = begun
    assert source == "digits/1.0.0 (train: train[:64]; test: train[64:96])"
    expected = [
        load("digits", split, directory, resize=6) for split in ("train[:64]", "train[64:96]")
    ]
    assert [learn.fingerprint(), judge.fingerprint()] == [each.fingerprint() for each in expected]
    assert (len(whole[0]), len(whole[1]), whole[2]) == (1437, 360, "digits/1.0.0")


def test_train_begins_with_what_was_asked_for(begun, directory, tmp_path):
    options = ["--resize", "5", "--data-dir", str(directory), "--out", str(tmp_path / "x")]
    assert main([*TRAIN, *SLICES, *options]) == 1
    assert main([*TRAIN, "--out", str(tmp_path / "y")]) == 1
    (learn, judge, held), whole = begun
    expected = [
        load("digits", split, directory, resize=5) for split in ("train[:64]", "train[64:96]")
    ]
    assert [learn.fingerprint(), judge.fingerprint()] == [each.fingerprint() for each in expected]
    assert held is None
    assert (len(whole[0]), len(whole[1]), whole[0].images.shape[1]) == (1437, 360, 8)


def test_the_held_out_images_are_the_same_for_every_seed(begun, directory, tmp_path):
    for seed in ("0", "1", "4294967295"):
        options = ["--validation", "0.25", "--seed", seed, "--out", str(tmp_path / seed)]
        assert main([*TRAIN, *options]) == 1
    rest, held = split_off(load("digits"), 0.25, 0)
    for learn, _, validation in begun:
        assert learn.fingerprint() == rest.fingerprint()
        assert validation.fingerprint() == held.fingerprint()


@pytest.mark.parametrize("call", [TRAIN, COMPARE])
def test_what_was_taken_for_a_test_set_is_said(call, begun, monkeypatch, capsys):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), np.uint8)
    part = Dataset("toy", "train", images, np.arange(40) % 2, ("a", "b"))
    asked = {}

    def load_splits(name, data_dir, **options):
        asked.update(options, name=name)
        return Splits(part, part, "toy/1.0.0 (...)", "'toy' has no test split")

    monkeypatch.setattr("cnnjax.cli.images.load_splits", load_splits)
    assert main([*call, "--out", "nowhere", "--json"]) == 1
    assert capsys.readouterr().err == "cnnjax: 'toy' has no test split\ncnnjax: begun\n"
    assert begun[0][0] is part
    assert asked == {"name": "digits", "train_split": None, "test_split": None, "resize": None}


def test_overlapping_splits_are_refused(tmp_path, capsys):
    for call in (TRAIN, COMPARE):
        assert main([*call, "--test-split", "train[:9]", "--out", str(tmp_path / "out")]) == 2
        assert "9 images in common" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
