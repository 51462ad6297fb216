import json

from cnnjax.cli import main

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
