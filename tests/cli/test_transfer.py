import json

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main
from cnnjax.cli import transfer as module
from cnnjax.data import Preprocessing
from cnnjax.data.augment import HorizontalFlip
from cnnjax.errors import Failed
from cnnjax.report.transfer import proportion


@pytest.fixture
def weights(tmp_path):
    """A network for gray images of 8 pixels that was trained for other classes."""
    model = cnnjax.build("cnn", spec="conv4-relu-gap", num_classes=3)
    images = np.zeros((1, 8, 8, 1), np.float32)
    variables = model.init(jax.random.key(0), images, train=False)
    how = Preprocessing(8, 8, 0.9, "bilinear", (0.3,), (0.4,))
    cnnjax.Classifier(model, variables, how, ("a", "b", "c"), "cnn").save(tmp_path / "weights")
    return ["--weights", str(tmp_path / "weights")]


COMMAND = ["transfer", "cnn", "--data", "digits", "--epochs", "1", "--batch-size", "256"]


def test_a_retraining_is_told_and_left_behind(tmp_path, weights, capsys):
    out = tmp_path / "out"
    command = [*COMMAND, *weights, "--rates", "0.01", "--out", str(out)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    found = json.loads((out / "results.json").read_text())["found"]
    accuracy, number = found["runs"][0]["accuracy"], found["images"]["test"]
    low, high = proportion(accuracy, number)
    assert f"test accuracy {accuracy:.2%} (95 % interval {low:.1%} to {high:.1%}" in shown
    assert (out / "report.html").exists()
    assert f"cnnjax predict cnn FILE ... --weights {out}" in shown
    classifier = cnnjax.load(out)
    assert classifier.class_names == tuple("0123456789")
    assert (classifier.preprocessing.crop, classifier.preprocessing.crop_mode) == (1.0, "center")
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_what_is_asked_for_is_what_is_done(tmp_path, monkeypatch, capsys):
    seen = {}

    def retrain(network, train_set, test_set, **options):
        seen.update(options)
        raise Failed("as far as this")

    monkeypatch.setattr(module, "retrain", retrain)
    command = [*COMMAND, "--out", str(tmp_path), "--augment", "flip", "--minutes", "2.5"]
    rates = ["--rates", "0.1", "0.2", "--backbone-rate", "0.5"]
    assert main([*command, *rates, "--resize", "6:pad", "--seeds", "2"]) == 1
    assert capsys.readouterr().err == "cnnjax: as far as this\n"
    recipe = seen["recipe"]
    assert (recipe.epochs, recipe.batch_size, recipe.augment) == (1, 256, (HorizontalFlip(),))
    assert [each.learning_rate for each in seen["candidates"]] == [0.1, 0.2]
    assert {each.backbone_rate for each in seen["candidates"]} == {0.5}
    assert (seen["minutes"], seen["seeds"], seen["crop_mode"]) == (2.5, 2, "pad")
    assert seen["weights"] == "package"
    assert main([*command, "--probe-only"]) == 1
    assert seen["candidates"] == ()
