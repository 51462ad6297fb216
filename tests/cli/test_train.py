import json
import os
import signal
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from cnnjax.cli import main, train
from cnnjax.data import Preprocessing, load, resize
from cnnjax.models import build
from cnnjax.train import Recipe, backbone_and, checkpoint, course, evaluate, saving
from cnnjax.weights import About, head_of, load_model, preprocessing_of, read_about, save_weights

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
    assert main([*COMMAND, "--out", str(tmp_path), "--optimizer", "sgdd"]) == 2
    assert "did you mean 'sgd'" in capsys.readouterr().err


def test_weights_that_train_leaves_are_a_networks_own(tmp_path, capsys):
    """predict names the classes, and another task starts from them."""
    from PIL import Image

    out = tmp_path / "first"
    assert main([*COMMAND, "--resize", "12", "--out", str(out)]) == 0
    again = tmp_path / "again"
    assert main([*COMMAND, "--resize", "12", "--out", str(again)]) == 0
    files = [path / "weights.safetensors" for path in (out, again)]
    assert files[0].read_bytes() == files[1].read_bytes()  # equal runs leave equal files
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
    assert (prepared.interpolation, prepared.crop_mode) == ("bicubic", "center")
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
    recipe = Recipe.from_dict(json.loads((tuned / "run.json").read_text())["recipe"])
    assert recipe.groups == backbone_and(head_of(model))
    _, after = load_model("cnn", tuned / "weights.safetensors")
    for name, leaves in variables["params"].items():
        same = all(np.array_equal(leaves[n], after["params"][name][n]) for n in leaves)
        assert same == (name not in head_of(model))


@pytest.fixture
def started(monkeypatch):
    """What the command hands to `fit`, which here returns what it was given to start from."""
    seen = {}

    def fit(model, *sets, **options):
        seen.update(options, model=model)
        mean, std = options["normalization"] or (np.array([0.25]), np.array([0.5]))
        measured = {"test": {"accuracy": 0.5, "loss": 1.0}, "history": [], "mean": mean}
        seconds = {"compile_seconds": 0.0, "train_seconds": 0.0}
        variables = options["variables"] or {"params": {"a": {"bias": np.zeros(1, np.float32)}}}
        return SimpleNamespace(variables=variables, std=std, **measured, **seconds)

    monkeypatch.setattr(train, "fit", fit)
    return seen


def test_weights_are_started_from_as_load_gives_them(tmp_path, started):
    model = build("cnn", spec="conv4-relu-gap", num_classes=3)
    images = jax.ShapeDtypeStruct((1, 9, 7, 1), np.float32)
    tree = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), tree)
    how = Preprocessing(9, 7, 0.8, "bilinear", (0.25,), (0.75,))
    about = About(("a", "b", "c"), how, {"spec": "conv4-relu-gap"}, "cnn")
    save_weights(variables, tmp_path / "weights.safetensors", about=about)
    command = ["train", "cnn", "--data", "digits", "--weights", str(tmp_path)]
    assert main([*command, "--backbone-rate", "0.5", "--out", str(tmp_path / "out")]) == 0
    assert started["model"].num_classes == 10
    assert started["model"].spec == "conv4-relu-gap"
    params = started["variables"]["params"]
    np.testing.assert_array_equal(params["0.conv4"]["kernel"], np.full((3, 3, 1, 4), 0.5))
    assert params["classifier"]["kernel"].shape == (4, 10)
    assert not params["classifier"]["kernel"].any()
    np.testing.assert_allclose(started["normalization"], [[0.25], [0.75]])
    left = read_about(tmp_path / "out" / "weights.safetensors")
    assert left.preprocessing == Preprocessing(8, 8, 1.0, "bicubic", (0.25,), (0.75,), "center")
    assert left.class_names == tuple("0123456789")
    assert (left.fields, left.network) == ({"spec": "conv4-relu-gap"}, "cnn")


def test_weights_of_another_size_of_images_are_refused_before_training(tmp_path, started, capsys):
    model = build("cnn", spec="conv4-relu-fc6", num_classes=10)
    images = jax.ShapeDtypeStruct((1, 9, 7, 1), np.float32)
    tree = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), tree)
    how = Preprocessing(9, 7, 1.0, "bilinear", (0.25,), (0.75,))
    about = About(tuple("0123456789"), how, {"spec": "conv4-relu-fc6"}, "cnn")
    save_weights(variables, tmp_path / "weights.safetensors", about=about)
    command = ["train", "cnn", "--data", "digits", "--weights", str(tmp_path)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "fc6.weight is (6, 252), expected (6, 256)" in said  # 9x7 and 8x8, times 4
    assert not started


def test_without_weights_nothing_is_started_from(tmp_path, started):
    command = ["train", "cnn", "--data", "digits", "--spec", "conv4-relu-gap"]
    assert main([*command, "--out", str(tmp_path), "--dtype", "bfloat16"]) == 0
    assert (started["variables"], started["normalization"]) == (None, None)
    assert (started["model"].spec, started["model"].dtype) == (
        "conv4-relu-gap",
        np.dtype("bfloat16"),
    )
    assert read_about(tmp_path / "weights.safetensors").preprocessing.mean == (0.25,)


def test_on_sigterm_it_saves_ends_with_75_and_goes_on(tmp_path, capsys, monkeypatch):
    command = [*COMMAND[:-4], "--epochs", "2", "--batch-size", "256"]
    assert main([*command, "--out", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(course, "_SECONDS_BETWEEN_LOOKS", -1.0)
    saved, cut = saving.Saver.after_chunk, tmp_path / "cut"

    def terminate(self, standing):
        saved(self, standing)
        if standing.taken == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(saving.Saver, "after_chunk", terminate)
        assert main([*command, "--out", str(cut)]) == 75
    assert "the same command goes on from there" in "".join(capsys.readouterr())
    assert checkpoint.saved_steps(cut) == [3]
    assert not (cut / "run.json").exists()
    assert main([*command, "--out", str(cut)]) == 0
    assert "is finished" not in "".join(capsys.readouterr())
    files = [tmp_path / name / "weights.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (cut / "curves.svg").read_text().startswith("<svg")
    steps = [json.loads(line)["step"] for line in (cut / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert main([*command, "--out", str(cut)]) == 0
    shown = "".join(capsys.readouterr())
    assert "cut is finished" in shown
    assert "test accuracy" in shown
