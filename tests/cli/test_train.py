import json

import numpy as np
import pytest

from cnnjax.cli import main, train
from cnnjax.data import load, resize
from cnnjax.models import build
from cnnjax.train import evaluate
from cnnjax.weights import head_of, load_model, preprocessing_of, read_about

COMMAND = [
    "train",
    "cnn",
    "--spec",
    "conv4-relu-pool-fc10",
    "--data",
    "digits",
    "--epochs",
    "1",
    "--batch-size",
    "256",
]


def test_train_writes_its_result_and_refuses_another_runs_directory(tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main([*COMMAND, *out, "--validation", "0.1", "--learning-rate", "0.02"]) == 0
    shown = capsys.readouterr().out
    assert "epoch 1/1" in shown
    assert "\x1b" not in shown
    result = json.loads((tmp_path / "run.json").read_text())
    assert f"{result['test']['accuracy']:.2%}" in shown
    assert result["hyper"]["learning_rate"] == 0.02
    assert "validation_accuracy" in result["history"][0]
    before = (tmp_path / "run.json").read_text()
    assert main([*COMMAND, *out, "--validation", "0.1", "--learning-rate", "0.01"]) == 2
    assert "learning_rate" in capsys.readouterr().err
    assert (tmp_path / "run.json").read_text() == before


def test_train_names_a_wrong_setting(tmp_path, capsys):
    assert main([*COMMAND, "--out", str(tmp_path), "--optimiser", "sgdd"]) == 2
    assert "did you mean 'sgd'" in capsys.readouterr().err


def test_weights_that_train_leaves_are_a_networks_own(tmp_path, capsys):
    """predict names the classes, and another task starts from them."""
    from PIL import Image

    out = tmp_path / "first"
    assert main([*COMMAND, "--resize", "12", "--out", str(out)]) == 0
    run = json.loads((out / "run.json").read_text())
    assert run["image_shape"] == [12, 12, 1]
    weights = str(out / "weights.safetensors")
    train_set = load("digits")
    image = tmp_path / "image.png"
    Image.fromarray(train_set.images[0, ..., 0]).save(image)
    capsys.readouterr()
    assert main(["predict", "cnn", str(image), "--weights", weights, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    named = {entry["name"] for entry in row["classes"]}
    assert named <= set(train_set.class_names)

    model, variables = load_model("cnn", weights)
    assert model.spec == "conv4-relu-pool-fc10"
    prepared = preprocessing_of("cnn", weights)
    assert (prepared.image_shape, prepared.crop) == ((12, 12, 1), 1.0)
    assert (prepared.interpolation, prepared.crop_mode) == ("bicubic", "squash")
    assert read_about(weights).network == "cnn"
    again = evaluate(
        model,
        variables,
        resize(load("digits", split="test"), 12),
        mean=np.float32(prepared.mean),
        std=np.float32(prepared.std),
    )
    assert again["accuracy"] == pytest.approx(run["test"]["accuracy"])

    tuned = tmp_path / "second"
    command = "train cnn --data digits --epochs 1 --batch-size 256 --resize 12 --backbone-rate 0"
    command = [*command.split(), "--weights", weights, "--out", str(tuned)]
    assert main(command) == 0
    assert json.loads((tuned / "run.json").read_text())["recipe"]["head"] == list(head_of(model))
    _, after = load_model("cnn", tuned / "weights.safetensors")
    for name, leaves in variables["params"].items():
        same = all(np.array_equal(leaves[n], after["params"][name][n]) for n in leaves)
        assert same == (name not in head_of(model))


def test_fields_that_weights_brought_are_kept():
    """TensorFlow's padding and epsilon belong to the weights of the lite networks."""
    usual = build("efficientnet_lite0")
    model = build("efficientnet_lite0", padding="SAME", epsilon=1e-3, num_classes=10)
    assert train._fields(model, usual) == {"padding": "SAME", "epsilon": 1e-3}
    assert train._fields(usual, usual) == {}
