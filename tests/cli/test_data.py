"""`cnnjax data`: its tables and its JSON say what the datasets hold."""

import json

import numpy as np
import pytest

from cnnjax.cli import data as command
from cnnjax.cli import main
from cnnjax.data import Dataset
from cnnjax.data.describe import Examined

ABOUT = {
    "name": "toy[red]",
    "version": "1.2.3",
    "directory": "/data/toy",
    "description": "First line\x1b[2J",
    "homepage": "",
    "citation": "@misc{a,\n  b}",
    "class_names": ["one", "two\x1b[31m"],
    "shape": [6, 5, 3],
    "splits": {
        "train": {
            "images": 1234,
            "per_class": [1000, 234],
            "mean": [0.25, 0.5, 0.75],
            "std": [0.1, 0.2, 0.3],
            "fingerprint": "0123456789abcdef" * 4,
        },
        "test": {
            "images": 20,
            "per_class": [9, 11],
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
            "fingerprint": "fedcba9876543210" * 4,
        },
    },
    "shared": [{"splits": ["train", "test"], "images": 1200, "examples": [[3, 5], [4, 6]]}],
    "left_out": {"a/b.png": "empty"},
    "notes": ["1 of 9 files are left out: a/b.png (empty)"],
}
TRAIN = Dataset(
    "toy",
    "train",
    np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3), np.uint8),
    np.arange(9) % 2,
    ("one", "two\x1b[31m"),
)
ROWS = [
    {
        "name": "toy/small",
        "prepared": True,
        "splits": {"train": 1234, "test": 20, "extra": 5678, "more": 9},
        "shape": [6, None, 3],
        "classes": 2,
        "version": "1.2.3",
    },
    {
        "name": "other",
        "prepared": False,
        "splits": {"validation": 7},
        "shape": [6, 5, 1],
        "classes": 10,
        "version": "0.1.0",
    },
]


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Give the datasets above and record what was asked for."""
    calls = []
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.delenv("COLUMNS", raising=False)
    sets = {"train": TRAIN}
    monkeypatch.setattr(
        command,
        "examine",
        lambda *given, **named: calls.append((*given, named)) or Examined(ABOUT, sets),
    )
    monkeypatch.setattr(command, "catalogue", lambda *given: calls.append(given) or ROWS)
    return calls


def test_one_dataset(capsys, asked, tmp_path):
    assert main(["data", "show", "toy", "--data-dir", str(tmp_path)]) == 0
    assert asked == [("toy", tmp_path, {"resize": None})]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "cnnjax: 1 of 9 files are left out: a/b.png (empty)",
        "cnnjax: 1,200 images of 'test' are in 'train' as well, such as number 5 = number 3",
    ]
    lines = [" ".join(line.split()) for line in printed.out.splitlines()]
    assert "toy[red] 1.2.3, 6x5x3" in lines
    assert r"First line\x1b[2J" in lines
    assert "/data/toy" in lines
    assert "class train test" in lines
    assert "one 1,000 9" in lines
    assert r"two\x1b[31m 234 11" in lines
    assert "all 1,234 20" in lines
    assert "split mean standard deviation fingerprint" in lines
    assert "train 0.2500 0.5000 0.7500 0.1000 0.2000 0.3000 0123456789abcdef" in lines
    assert "test 0.1000 0.2000 0.3000 0.4000 0.5000 0.6000 fedcba9876543210" in lines


def test_all_datasets(capsys, asked):
    assert main(["data", "list"]) == 0
    assert asked == [(None,)]
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "dataset train test other splits image classes version prepared"
    assert "toy/small 1,234 20 extra 5,678, more 9 6x?x3 2 1.2.3 yes" in lines
    assert "other validation 7 6x5x1 10 0.1.0 on first use" in lines


def test_json(capsys):
    assert main(["data", "show", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ABOUT
    assert main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ROWS


def test_a_mistyped_directory(capsys, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    assert main(["data", "show", "digits", "--data-dir", str(tmp_path / "mistyped")]) == 2
    assert "data_dir: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_has_images_of_each_class(capsys, tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("matplotlib")
    path = tmp_path / "sheets" / "toy.png"
    assert main(["data", "show", "toy", "--sheet", str(path)]) == 0
    assert f"{path} shows images of each class" in capsys.readouterr().out
    drawn = np.asarray(image.open(path).convert("RGB"))
    assert drawn.shape[0] > 150
    # Each pixel of an image is drawn many times over, so that its color is there exactly.
    colors = set(map(tuple, drawn.reshape(-1, 3).tolist()))
    assert set(map(tuple, TRAIN.images[:, 2, 2].tolist())) <= colors
    assert main(["data", "show", "toy", "--sheet", str(tmp_path / "toy.jpg")]) == 2
    assert "sheet: received" in capsys.readouterr().err


def test_without_list_or_show(capsys):
    assert main(["data"]) == 2
    assert main(["data", "toy"]) == 2
