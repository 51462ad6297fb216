"""Which tensors of a file are taken for the weights, and what is said of it."""

import json
import logging

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Hyper
from cnnjax.train.state import TrainState
from cnnjax.weights import load_weights, read_state_dict
from cnnjax.weights.read import split_choice
from cnnjax.weights.read.choose import choose
from cnnjax.weights.read.entries import Entry
from cnnjax.weights.torch_names import to_state_dict
from tests.weights.torch_format import state_dict, tensor, write_zip

draw = np.random.default_rng(0)
SHAPES = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5), "fc1": (120, 400), "fc2": (84, 120)}
WEIGHTS = {f"{name}.weight": draw.standard_normal(s) for name, s in SHAPES.items()}
WEIGHTS |= {f"{name}.bias": draw.standard_normal(s[0]) for name, s in SHAPES.items()}
WEIGHTS |= {"fc3.weight": draw.standard_normal((10, 84)), "fc3.bias": draw.standard_normal(10)}
WEIGHTS = {name: array.astype(np.float32) for name, array in WEIGHTS.items()}
AVERAGED = {name: array + 1 for name, array in WEIGHTS.items()}


def under(prefix, arrays=WEIGHTS):
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def nested(value, storages):
    """Describe dictionaries of arrays, however deep, with their storages."""
    if all(isinstance(each, np.ndarray) for each in value.values()):
        described, more = state_dict(value, f"{len(storages)}_")
        storages.update(more)
        return described
    out = {}
    for name, each in value.items():
        if isinstance(each, dict):
            out[name] = nested(each, storages)
        elif isinstance(each, np.ndarray):
            described, more = state_dict({name: each}, f"{len(storages)}_")
            storages.update(more)
            out |= described
        else:
            out[name] = each
    return out


def write(path, value):
    storages = {}
    return write_zip(path, nested(value, storages), storages)


OPTIMIZER = {"state": {i: {"exp_avg": a, "exp_avg_sq": a} for i, a in enumerate(WEIGHTS.values())}}
COUNT = np.zeros(1)
# What is in the file, and the prefix that is read: what people's training loops leave.
WRAPPED = {
    "plain": (WEIGHTS, ""),
    "imagenet example": (
        {"epoch": 3, "state_dict": under("module."), "optimizer": OPTIMIZER},
        "state_dict.module",
    ),
    "optimizer first": ({"optimizer": OPTIMIZER, "model_state_dict": WEIGHTS}, "model_state_dict"),
    "net": ({"net": WEIGHTS, "acc": 94.0}, "net"),
    "weights": ({"weights": WEIGHTS, "mean": np.zeros(3)}, "weights"),
    "deep": ({"a": {"b": {"c": under("d.e.")}}}, "a.b.c.d.e"),
    "compiled": (under("_orig_mod."), "_orig_mod"),
    "compiled in parallel": ({"model": under("module._orig_mod.")}, "model.module._orig_mod"),
    "lightning": (
        {"state_dict": {**under("model."), "criterion.weight": np.ones(10)}},
        "state_dict.model",
    ),
    "averaged model": ({"n_averaged": np.array(7), **under("module.")}, "module"),
    "backbone": (under("backbone."), "backbone"),
    "another head": ({**under("backbone."), "head.weight": np.ones((2, 84))}, "backbone"),
    "profiled": ({**WEIGHTS, "total_ops": COUNT, "conv1.total_params": COUNT}, ""),
    "profiled in parallel": ({**under("module."), "module.total_ops": COUNT}, "module"),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_weights_are_found_wherever_they_are(tmp_path, name, caplog):
    value, prefix = WRAPPED[name]
    path = write(tmp_path / "a.pth", value)
    read = read_state_dict(path, expected=WEIGHTS)
    assert read.keys() == WEIGHTS.keys()
    for each, array in WEIGHTS.items():
        np.testing.assert_array_equal(read[each], array)
    assert (f"{path}: read {prefix} (10 tensors)" in caplog.text) == bool(prefix)
    assert bool(caplog.text) == bool(prefix)
    for beside in ("criterion.weight", "n_averaged", "head.weight"):
        there = any(beside in str(each) for each in (value, value.get("state_dict", ())))
        assert (beside in caplog.text) == there


UNKNOWN = [n for n in WRAPPED if n not in ("lightning", "deep", "another head")]


@pytest.mark.parametrize("name", UNKNOWN)
def test_most_are_found_without_knowing_the_network(tmp_path, name):
    path = write(tmp_path / "a.pth", WRAPPED[name][0])
    assert read_state_dict(path).keys() == WEIGHTS.keys()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model."])
def test_a_prefix_that_only_some_names_have_is_kept(tmp_path, prefix):
    names = {"a.weight": np.ones(2), f"{prefix}a.bias": np.ones(2), f"{prefix}b": np.ones(1)}
    assert read_state_dict(write(tmp_path / "a.pth", names)).keys() == names.keys()
    partly = {f"{prefix * (i < 3)}{name}": array for i, (name, array) in enumerate(WEIGHTS.items())}
    assert read_state_dict(write(tmp_path / "a.pth", partly), expected=WEIGHTS).keys() == {*partly}
    with pytest.raises(BadArgument, match=rf"3 missing: .* 3 unexpected: {prefix}conv1\.weight"):
        load_weights("lenet5", tmp_path / "a.pth")


AVERAGES = {
    "timm": ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGED}, "state_dict", "state_dict_ema"),
    "averaged first": ({"ema": AVERAGED, "model": WEIGHTS}, "model", "ema"),
    "torchvision": (
        {"model": under("module."), "model_ema": {"n": COUNT, **under("module.", AVERAGED)}},
        "model.module",
        "model_ema.module",
    ),
    "one mapping": ({**under("swa_model.", AVERAGED), **under("net.")}, "net", "swa_model"),
    "beside the plain names": ({**WEIGHTS, **under("ema.", AVERAGED)}, "", "ema"),
    "two students": ({"teacher": AVERAGED, "student": WEIGHTS}, "student", "teacher"),
    "alike": ({"encoder_q": WEIGHTS, "encoder_k": AVERAGED}, "encoder_q", "encoder_k"),
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_weights_are_said_and_can_be_chosen(tmp_path, name, caplog):
    value, taken, other = AVERAGES[name]
    path = write(tmp_path / "a.pth", value)
    with caplog.at_level(logging.WARNING, "cnnjax"):
        read = read_state_dict(path, expected=WEIGHTS)
    assert {each: a.tolist() for each, a in read.items()} == {
        each: a.tolist() for each, a in WEIGHTS.items()
    }
    assert f"read {taken or 'its outermost'}" in caplog.text
    assert f"also there: {other} (to take it: {path}#{other})" in caplog.text
    for choice in {other, other.split(".")[0]}:
        read = read_state_dict(f"{path}#{choice}", expected=WEIGHTS)
        assert read.keys() == AVERAGED.keys()
        np.testing.assert_array_equal(read["fc2.weight"], AVERAGED["fc2.weight"])
        loaded = to_state_dict(load_weights("lenet5", f"{path}#{choice}"))
        for each, array in AVERAGED.items():
            np.testing.assert_array_equal(loaded[each], array)


def test_a_word_inside_another_is_no_average(tmp_path):
    value = {"schema": WEIGHTS, "remap": AVERAGED}
    read = read_state_dict(write(tmp_path / "a.pth", value), expected=WEIGHTS)
    np.testing.assert_array_equal(read["fc1.bias"], WEIGHTS["fc1.bias"])


def test_a_choice_that_is_not_there_names_those_that_are(tmp_path):
    path = write(tmp_path / "a.pth", {"model": WEIGHTS, "model_ema": AVERAGED})
    told = r"#: unknown name 'model_em'; did you mean 'model_ema'.*allowed: .*model, model\.conv1"
    with pytest.raises(BadArgument, match=told):
        read_state_dict(f"{path}#model_em")
    with pytest.raises(BadArgument, match="no file"):
        read_state_dict(f"{tmp_path / 'b.pth'}#model")


def test_a_file_may_have_a_hash_in_its_name(tmp_path):
    write(tmp_path / "a#model_ema", {"model": WEIGHTS, "model_ema": AVERAGED})
    assert split_choice(tmp_path / "a#model_ema") == (str(tmp_path / "a#model_ema"), None)
    read = read_state_dict(tmp_path / "a#model_ema#model_ema", expected=WEIGHTS)
    np.testing.assert_array_equal(read["fc1.bias"], AVERAGED["fc1.bias"])
    assert split_choice("x#y#z") == ("x#y", "z")


def entries(*paths):
    """Tensors by mapping and name, split at the slash."""
    split = [path.rpartition("/") for path in paths]
    return [Entry(mapping, name, lambda: np.zeros(1)) for mapping, _, name in split]


def test_half_of_the_names_is_a_fit_and_less_is_not():
    expected = {"a", "b", "c", "d"}
    # The mapping `x.` holds more tensors; `w.` has names of the network.
    more = ["x./1", "x./2", "x./3"]
    assert choose(entries("w./p.a", "w./p.b", *more), expected).prefix == "w.p."
    assert choose(entries("w./p.a", "w./p.q", *more), expected).prefix == "x."
    assert choose(entries("w./a", "v./a", "v./b"), expected).prefix == "v."


def test_where_nothing_fits_it_is_the_largest_mapping_that_is_no_optimizers():
    found = entries("optimizer.0./a", "optimizer.0./b", "model./module.a", "ema./a", "ema./b")
    assert choose(found).prefix == "model.module."
    assert choose(entries("a./x", "b./x", "b./y")).prefix == "b."
    assert choose(entries("a./x", "b./x")).prefix == "a."
    assert choose(entries("a./model.net.x", "a./model.net.y")).prefix == "a.model.net."
    assert choose(entries("/model.x", "/model.n_averaged", "/n_averaged")).prefix == "model."


def test_a_part_of_the_network_with_the_same_names_is_no_other():
    names = ["conv.weight", "bn.weight", "block.conv.weight", "block.bn.weight"]
    choice = choose(entries(*(f"/{name}" for name in names)), names)
    assert (choice.prefix, list(choice.others), list(choice.left_out)) == ("", [], [])
    assert [entry.name for entry in choice.entries] == names


def test_tensors_of_mappings_inside_are_no_part_of_the_weights():
    found = entries("/a", "/b", "optimizer.state.0./exp_avg", "extra./c")
    assert [entry.path for entry in choose(found, {"a", "b"}).entries] == ["a", "b"]
    assert [entry.path for entry in choose(found).entries] == ["a", "b"]


def test_a_shared_wrapper_goes_though_the_names_are_another_networks(tmp_path):
    value = {"model": under("module.", {"_conv_stem.weight": COUNT, "_fc.bias": COUNT})}
    read = read_state_dict(write(tmp_path / "a.pth", value), expected=WEIGHTS)
    assert list(read) == ["_conv_stem.weight", "_fc.bias"]


def index_of(folder, shards, name="model.safetensors"):
    """Write arrays as shards with their index, and return its path."""
    weight_map = {}
    for number, (shard, arrays) in enumerate(shards.items()):
        (folder / shard).parent.mkdir(exist_ok=True)
        if name.endswith(".bin"):
            write(folder / shard, arrays)
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
    path = index_of(tmp_path, dict(zip(names, halves(under("model.")), strict=True)), kind)
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
    assert len(read_state_dict(tmp_path / "model-00001-of-00001.safetensors")) == 10


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


def test_a_checkpoint_of_training_is_not_weights(tmp_path):
    kernel, scalar = {"conv1": {"kernel": np.ones((1, 1))}}, np.zeros(())
    state = TrainState(scalar, kernel, {}, (), {}, Hyper(), scalar, scalar)
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    tensors = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
    path = tmp_path / "checkpoint.safetensors"
    save_file(tensors, path)
    with pytest.raises(BadArgument, match="checkpoint of a training run; give what save_weights"):
        read_state_dict(path)
    save_file(WEIGHTS, path, {"run": "{}", "history": "[]"})
    save_file(WEIGHTS, tmp_path / "weights.safetensors", {"run": "mine"})
    with pytest.raises(BadArgument, match=rf"training run; give .*{tmp_path.name}/weights\.safe"):
        read_state_dict(path)
    assert len(read_state_dict(tmp_path / "weights.safetensors")) == 10


def test_too_many_tensors(tmp_path, monkeypatch):
    from cnnjax.weights.read import walk

    monkeypatch.setattr(walk, "_MOST", 9)
    with pytest.raises(Failed, match="more than 9 tensors"):
        read_state_dict(write(tmp_path / "a.pth", WEIGHTS))
    monkeypatch.setattr(walk, "_MOST", 10)
    assert len(read_state_dict(write(tmp_path / "a.pth", WEIGHTS))) == 10


def test_what_is_too_deep_or_too_long_is_not_looked_at(tmp_path):
    value, storages = {"x": tensor("FloatStorage", "0", 1, 0, (1,), (1,))}, {"0": COUNT[:1]}
    storages["0"] = np.ones(1, np.float32)
    deep = {"a": value}
    for _ in range(30):
        deep = {"a": deep}
    assert len(read_state_dict(write_zip(tmp_path / "a.pth", deep, storages))) == 1
    for _ in range(3):
        deep = {"a": deep}
    with pytest.raises(Failed, match="holds no tensors"):
        read_state_dict(write_zip(tmp_path / "a.pth", deep, storages))
    long = {"m": {"n" * 998: value["x"]}}
    assert len(read_state_dict(write_zip(tmp_path / "a.pth", long, storages))) == 1
    with pytest.raises(Failed, match="holds no tensors"):
        read_state_dict(write_zip(tmp_path / "a.pth", {"mm": long["m"]}, storages))
