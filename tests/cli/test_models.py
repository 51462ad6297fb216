import json

import pytest

from cnnjax.cli import main
from cnnjax.models import MODELS


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.delenv("COLUMNS", raising=False)


def test_table_has_every_network(capsys):
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[2:-2]} == set(MODELS)
    assert lines[-1].strip() == f"{len(MODELS)} networks"


def test_json_has_every_field(capsys):
    assert main(["models", "resnet*", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {name for name in MODELS if name.startswith("resnet")}
    row = rows["resnet50"]
    assert row["family"] == "resnet"
    assert row["parameters"] == 25_557_032
    assert row["giga_multiply_adds"] == 4.089
    assert (row["input_size"], row["accuracy"]) == (224, 80.858)
    assert row["reference"] == "torchvision"
    assert row["accuracy_source"] == "IMAGENET1K_V2"
    assert rows["resnet18_cifar"]["accuracy_source"] == "open-mmlab/mmpretrain"
    assert rows["resnet8_cifar"]["accuracy_source"] is None


@pytest.mark.parametrize("columns", ["60", "80", "140"])
def test_fits_the_terminal_without_cutting_numbers(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["models", "resnet*"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= int(columns)
    assert "25,557,032" in out
    assert "…" not in out


def test_no_match_suggests_a_name(capsys):
    assert main(["models", "resnet81"]) == 2
    assert "resnet18" in capsys.readouterr().err
