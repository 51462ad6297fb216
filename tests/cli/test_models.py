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
    assert row["multiply_adds"] == 4_089_184_256
    assert (row["input_size"], row["accuracy"]) == (224, 80.858)
    assert row["reference"] == "torchvision"
    assert row["accuracy_source"] == "IMAGENET1K_V2"
    assert rows["resnet18_cifar"]["accuracy_source"] == "open-mmlab/mmpretrain"
    assert rows["resnet8_cifar"]["accuracy_source"] is None


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 140])
def test_fits_the_terminal_without_cutting_a_number_or_a_name(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines[2:-2]] == sorted(MODELS)  # a line each, names whole
    heads = lines[0].split()
    assert ("parameters" in heads, "top-1" in heads) == (columns > 40, columns > 40)
    if columns > 40:
        (row,) = (line for line in lines if line.startswith("resnet50 "))
        assert "25,557,032" in row.split()
        assert "80.86" in row.split()


def test_every_cell(capsys):
    assert main(["models", "resnet50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = "network family parameters G mult-adds input top-1 % on definition"
    assert lines[0].split() == heads.split()
    row = "resnet50 resnet 25,557,032 4.089 224x224x3 80.86 ImageNet-1k torchvision"
    assert lines[2].split() == row.split()
    assert lines[-1].strip() == "1 network"
    assert main(["models", "resnet8_cifar"]) == 0
    assert "32x32x3" in (row := capsys.readouterr().out.splitlines()[2].split())
    assert "CIFAR-10" not in row  # where no accuracy is known


def test_no_match_suggests_a_name(capsys):
    assert main(["models", "resnet81"]) == 2
    assert "resnet18" in capsys.readouterr().err
