import json

import pytest

from cnnjax.cli import main


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.delenv("COLUMNS", raising=False)


def test_table(capsys):
    assert main(["summary", "lenet5"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].strip() == "lenet5, images 28x28x1"
    heads = "layer kind output parameters mult-adds field stride"
    assert out[1].split() == heads.split()
    first, total = out[3].split(), next(line for line in out if line.startswith("total")).split()
    assert first == ["conv1", "conv", "5x5", "28x28x6", "156", "117,600", "5", "1"]
    assert total == ["total", "61,706", "416,520"]


def test_json_totals_are_sums(capsys):
    assert main(["summary", "resnet8_cifar", "--num-classes", "7", "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["layers"][-1]["output_shape"] == [7]
    for key in ("parameters", "batch_statistics", "multiply_adds"):
        assert got["total"][key] == sum(layer[key] for layer in got["layers"])


def test_size_channels_and_depth(capsys):
    arguments = ["resnet8_cifar", "--input-size", "40x64", "--channels", "1", "--depth", "1"]
    assert main(["summary", *arguments, "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["image_shape"] == [40, 64, 1]
    assert got["layers"][0]["output_shape"] == [40, 64, 16]
    names = [layer["name"] for layer in got["layers"] if layer["parameters"]]
    assert len(names) == len(set(names))


def test_spec(capsys):
    assert main(["summary", "cnn", "--spec", "conv8-relu-pool-fc10", "--json"]) == 0
    kinds = [layer["kind"] for layer in json.loads(capsys.readouterr().out)["layers"]]
    assert kinds[:3] == ["conv 3x3", "relu", "max pool 2x2 /2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resnet81"], "did you mean"),
        (["lenet5", "--input-size", "3x"], "N or HxW"),
        (["lenet5", "--input-size", "4"], "12x12"),
        (["lenet5", "--input-size", "28x28x28"], "N or HxW"),
        (["lenet5", "--input-size", "0x28"], "input_size: received 0, allowed: integers from 1 to"),
        (["lenet5", "--input-size", "28x9000"], "input_size: received 9000"),
        (["lenet5", "--input-size", "\uff12\uff18"], "N or HxW"),
        (["lenet5", "--channels", "10001"], "channels: received 10001, allowed: integers from 1"),
        (["lenet5", "--depth", "101"], "depth: received 101"),
        (["lenet5", "--channels", "0"], "channels"),
        (["lenet5", "--depth", "0"], "depth"),
        (["lenet5", "--num-classes", "0"], "num_classes"),
        (["lenet5", "--spec", "conv8"], "spec"),
    ],
)
def test_bad_arguments(arguments, said, capsys):
    assert main(["summary", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out
