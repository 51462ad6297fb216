"""Weights cut into several files, with the index that says which tensor is where."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import read_state_dict
from tests.weights.torch_format import state_dict, write_zip

draw = np.random.default_rng(0)
SHAPES = {"conv1.weight": (2, 3), "conv1.bias": (2,), "conv2.weight": (4, 2), "conv2.bias": (4,)}
SHAPES |= {"fc3.weight": (5, 4), "fc3.bias": (5,)}
WEIGHTS = {name: draw.standard_normal(shape).astype("float32") for name, shape in SHAPES.items()}


def index_of(folder, shards, name="model.safetensors"):
    """Write arrays as shards with their index, and return its path."""
    weight_map = {}
    for number, (shard, arrays) in enumerate(shards.items()):
        (folder / shard).parent.mkdir(exist_ok=True)
        if name.endswith(".bin"):
            write_zip(folder / shard, *state_dict(arrays))
        else:
            save_file(arrays, folder / shard)
        weight_map |= dict.fromkeys(arrays, shard)
        assert number < 9
    path = folder / f"{name}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return path


def halves(arrays):
    items = list(arrays.items())
    return dict(items[:3]), dict(items[3:])


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_shards_are_one_state_dict(tmp_path, kind):
    stem, _, suffix = kind.rpartition(".")
    names = [f"{stem}-0000{i}-of-00002.{suffix}" for i in (1, 2)]
    path = index_of(
        tmp_path,
        dict(
            zip(
                names,
                halves({f"model.{name}": array for name, array in WEIGHTS.items()}),
                strict=True,
            )
        ),
        kind,
    )
    read = read_state_dict(path, expected=WEIGHTS)
    assert {n: a.tolist() for n, a in read.items()} == {n: a.tolist() for n, a in WEIGHTS.items()}
    (tmp_path / "renamed").write_bytes(path.read_bytes())
    assert read_state_dict(tmp_path / "renamed", expected=WEIGHTS).keys() == WEIGHTS.keys()
    with pytest.raises(BadArgument, match=rf"one of several shards; give {path.name}"):
        read_state_dict(tmp_path / names[0])
    path.unlink()
    assert len(read_state_dict(tmp_path / names[0])) == 3


def test_one_shard_of_one_is_whole(tmp_path):
    index_of(tmp_path, {"model-00001-of-00001.safetensors": WEIGHTS})
    assert len(read_state_dict(tmp_path / "model-00001-of-00001.safetensors")) == 6


def test_indices_that_are_damaged(tmp_path):
    first, second = halves(WEIGHTS)
    path = index_of(tmp_path, {"a.safetensors": first, "b.safetensors": second})
    good = json.loads(path.read_text())["weight_map"]
    for change, error, words in (
        ({"more": "a.safetensors"}, Failed, r"more is not in a\.safetensors, where its index"),
        ({"fc3.bias": "c.safetensors"}, BadArgument, r"no file .*c\.safetensors"),
        ({"fc3.bias": "../a.safetensors"}, Failed, "names '../a.safetensors', which is no file"),
        ({"fc3.bias": str(tmp_path / "a.safetensors")}, Failed, "which is no file beside it"),
        ({"fc3.bias": ".."}, Failed, "which is no file beside it"),
        ({"fc3.bias": ""}, Failed, "which is no file beside it"),
        ({"fc3.bias": "..\\a"}, Failed, "which is no file beside it"),
        ({"fc3.bias": path.name}, Failed, "damaged, or not a file of weights"),
        ({"fc3.bias": 1}, Failed, "Expected `str`"),
        ({str(i): f"{i}.safetensors" for i in range(257)}, Failed, "more than 256 files"),
    ):
        path.write_text(json.dumps({"weight_map": good | change}))
        with pytest.raises(error, match=words):
            read_state_dict(path)
    path.write_text('{"weight_map": {}}')
    with pytest.raises(Failed, match="holds no tensors"):
        read_state_dict(path)
    path.write_text('{"weight_map": {' + " " * 2**24 + "}}")
    with pytest.raises(Failed, match="more than 16,777,216 bytes"):
        read_state_dict(path)
