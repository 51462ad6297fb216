"""`cnnjax features` and `predict` over folders: figures of a network that averages colors."""

import csv
import json

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main
from cnnjax.data import Preprocessing, load

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def colors(tmp_path, monkeypatch):
    """A network whose features are an image's mean color, as a directory; and a folder."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    model = cnnjax.build("cnn", spec="gap", num_classes=2)
    variables = model.init(jax.random.key(0), np.zeros((1, 4, 4, 3), np.float32), train=False)
    how = Preprocessing(4, 4, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    named = cnnjax.Classifier(model, variables, how, ("red", "blue"), "cnn")
    named.save(tmp_path / "run")
    for number in range(7):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8 + number, 9), (30 * number, 255, 0)).save(path)
    return tmp_path


def features(colors, *arguments):
    out = str(colors / "found" / "features.npz")
    return ["features", str(colors / "run"), *arguments, "--out", out, "--batch-size", "3"]


def test_features_of_a_folder(colors, capsys):
    (colors / "images" / "a" / "broken.png").write_text("no")
    assert main(features(colors, f"folder:{colors / 'images'}")) == 1
    printed = capsys.readouterr()
    assert "broken.png: not an image in a known format" in printed.err
    assert printed.out.endswith("has pre_logits of 7 images, [3] each\n")
    found = np.load(colors / "found" / "features.npz")
    files = [
        f"{label}/{n}.png" for label, ns in (("a", (0, 2, 4, 6)), ("b", (1, 3, 5))) for n in ns
    ]
    assert found["files"].tolist() == files
    assert found["labels"].tolist() == [0] * 4 + [1] * 3
    assert found["class_names"].tolist() == ["a", "b"]
    expected = [[30 * int(file[2]) / 127.5 - 1, 1, -1] for file in files]
    np.testing.assert_allclose(found["features"], expected, atol=1e-5)


def test_a_slice(colors):
    name = f"folder:{colors / 'images'}[:4,stratified]"
    assert main(features(colors, name)) == 0
    assert np.bincount(np.load(colors / "found" / "features.npz")["labels"]).tolist() == [2, 2]


def test_bad_arguments(colors, capsys):
    folder = f"folder:{colors / 'images'}"
    for arguments, words in (
        ((folder, "--stage", "nowhere"), "stage: unknown name 'nowhere'"),
        ((folder, "--split", "exam"), "split: unknown name 'exam'"),
        ((f"{folder}[9:]",), "is empty"),
        ((folder, "--weights", "package"), "weights: received 'package' for"),
    ):
        assert main(features(colors, *arguments)) == 2
        assert words in capsys.readouterr().err
    assert main(["features", str(colors / "run"), folder, "--out", "x.csv"]) == 2
    assert "allowed: a name ending in .npz" in capsys.readouterr().err


def test_predictions_of_a_folder_as_lines_and_as_a_table(colors, capsys):
    (colors / "images" / "a" / "broken.png").write_text("no")
    command = ["predict", str(colors / "run"), str(colors / "images"), "--batch-size", "2"]
    assert main([*command, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 7
    lines, table = colors / "found.jsonl", colors / "found.csv"
    assert main([*command, "--out", str(lines)]) == 1
    assert [json.loads(line) for line in lines.read_text().splitlines()] == rows
    assert main([*command, "--out", str(table), "--top", "1"]) == 1
    with table.open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [row["image"] for row in read] == [row["image"] for row in rows]
    for mine, row in zip(read, rows, strict=True):
        assert list(mine) == ["image", "class_1", "probability_1"]
        assert mine["class_1"] == row["classes"][0]["name"]
        assert float(mine["probability_1"]) == pytest.approx(row["classes"][0]["probability"], 1e-4)
    assert main([*command, "--out", "x.txt"]) == 2
    assert "out: received 'x.txt', allowed: names ending in .jsonl, .csv" in capsys.readouterr().err


def test_features_of_what_tfds_has_prepared(colors, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("TFDS_DATA_DIR", str(colors))
    assert main(features(colors, "digits", "--split", "test[:5]")) == 0
    found = np.load(colors / "found" / "features.npz")
    assert "files" not in found
    grey = load("digits", "test[:5]", colors).images.mean((1, 2, 3))
    np.testing.assert_allclose(found["features"][:, 0], grey / 127.5 - 1, atol=0.05)
