"""Reading files of weights: what they hold comes back, and nothing in them runs."""

import collections
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import load_weights, read_state_dict
from cnnjax.weights.digest import CHECKSUM, SAFETENSORS_DTYPES, content_digest
from tests.weights.torch_format import (
    DTYPES,
    Call,
    Global,
    Storage,
    entry,
    module,
    state_dict,
    tensor,
    write_legacy,
    write_safetensors,
    write_zip,
)

NUMBERS = np.arange(24, dtype=np.float32)
WRITERS = {"zip": write_zip, "legacy": write_legacy}
both = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


def assert_same(read, arrays):
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array, strict=True)


@both
@pytest.mark.parametrize("kind", ["FloatStorage", "HalfStorage", "DoubleStorage"])
def test_views_share_a_storage(tmp_path, write, kind):
    state = collections.OrderedDict(
        whole=tensor(kind, "0", 24, 0, (2, 3, 4), (12, 4, 1)),
        transposed=tensor(kind, "0", 24, 0, (4, 6), (1, 4)),
        part=tensor(kind, "0", 24, 5, (3,), (2,)),
        last=tensor(kind, "0", 24, 20, (2, 2), (2, 1)),
        scalar=tensor(kind, "0", 24, 7, (), ()),
        one=tensor(kind, "0", 24, 23, (1, 1), (99, 99)),
        expanded=tensor(kind, "0", 24, 3, (2, 3), (0, 1)),
        empty=tensor(kind, "0", 24, 0, (0, 3), (3, 1)),
        sized=tensor(kind, "0", 24, 1, Call(("torch", "Size"), (2,)), (1,)),
    )
    numbers = NUMBERS.astype(DTYPES[kind])
    assert_same(
        read_state_dict(write(tmp_path / "a.pth", state, {"0": numbers})),
        {
            "whole": numbers.reshape(2, 3, 4),
            "transposed": numbers.reshape(6, 4).T,
            "part": numbers[[5, 7, 9]],
            "last": numbers[20:].reshape(2, 2),
            "scalar": numbers[7],
            "one": numbers[23:].reshape(1, 1),
            "expanded": np.stack([numbers[3:6]] * 2),
            "empty": np.zeros((0, 3), numbers.dtype),
            "sized": numbers[1:3],
        },
    )


@both
@pytest.mark.parametrize("kind", DTYPES)
def test_dtypes(tmp_path, write, kind):
    array = np.array([0, 1, 3, 100]).astype(DTYPES[kind])
    value, storages = state_dict({"x": array, "y": array[::-1].copy()})
    assert_same(
        read_state_dict(write(tmp_path / "a.pt", value, storages)), {"x": array, "y": array[::-1]}
    )


@pytest.mark.parametrize("kind", ["uint16", "uint32", "uint64"])
def test_dtypes_without_a_storage_of_their_own(tmp_path, kind):
    array = np.array([0, 1, 2**16 - 1], kind)
    storage = Storage("UntypedStorage", "0", array.nbytes)
    rebuild, dtype = ("torch._utils", "_rebuild_tensor_v3"), Global(("torch", kind))
    value = {"x": Call(rebuild, storage, 1, (2,), (1,), False, {}, dtype, None)}
    assert_same(
        read_state_dict(write_zip(tmp_path / "a.pt", value, {"0": array})), {"x": array[1:]}
    )


def test_one_storage_seen_as_two_dtypes(tmp_path):
    value = {
        "x": tensor("FloatStorage", "0", 24, 0, (24,), (1,)),
        "y": tensor("IntStorage", "0", 24, 0, (24,), (1,)),
    }
    read = read_state_dict(write_zip(tmp_path / "a.pt", value, {"0": NUMBERS}))
    assert_same(read, {"x": NUMBERS, "y": NUMBERS.view(np.int32)})


@pytest.mark.parametrize("name", SAFETENSORS_DTYPES)
def test_safetensors_dtypes(tmp_path, name):
    array = np.array([[0, 1, 3]]).astype(SAFETENSORS_DTYPES[name])
    header = {"x": {"dtype": name, "shape": [1, 3], "data_offsets": [0, array.nbytes]}}
    path = write_safetensors(tmp_path / "a.safetensors", header, array.tobytes())
    assert_same(read_state_dict(path), {"x": array})


def test_what_the_package_writes_is_read(tmp_path):
    draw = np.random.default_rng(0)
    arrays = {f"x{i}": draw.standard_normal((i, 3)).astype(np.float32) for i in range(12)}
    arrays |= {"b": np.ones(3, ml_dtypes.bfloat16), "n": np.array(3), "t": np.array([True, False])}
    save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    read = read_state_dict(tmp_path / "a.safetensors")
    assert_same({name: read[name] for name in arrays}, arrays)
    assert len(read) == len(arrays)


@pytest.mark.parametrize("name", ["a.pth.tar", "a.ckpt", "a.PTH", "a", "a.h5", "a.safetensors"])
def test_what_is_inside_decides_and_not_the_name(tmp_path, name):
    value, storages = state_dict({"x": NUMBERS})
    for write in WRITERS.values():
        assert_same(read_state_dict(write(tmp_path / name, value, storages)), {"x": NUMBERS})
    save_file({"x": NUMBERS}, tmp_path / name)
    assert_same(read_state_dict(str(tmp_path / name)), {"x": NUMBERS})


def test_arrays_cannot_be_written_to(tmp_path):
    value = {
        "x": tensor("FloatStorage", "0", 24, 0, (24,), (1,)),
        "tied": tensor("FloatStorage", "0", 24, 0, (24,), (1,)),
    }
    read = read_state_dict(write_zip(tmp_path / "a.pth", value, {"0": NUMBERS}))
    assert np.shares_memory(read["x"], read["tied"])
    with pytest.raises(ValueError, match="read-only"):
        read["x"][0] = 1


ATTACKS = {
    "os.system": Call(("os", "system"), "exit 1"),
    "builtins.eval": Call(("builtins", "eval"), "1"),
    "builtins.getattr": Call(("builtins", "getattr"), {}, "clear"),
    "builtins.__import__": Call(("builtins", "__import__"), "os"),
    "torch.storage._load_from_bytes": Call(("torch.storage", "_load_from_bytes"), b""),
    "torch.nn.modules.linear.Linear": Global(("torch.nn.modules.linear", "Linear")),
}


@both
@pytest.mark.parametrize("name", ATTACKS)
def test_anything_but_tensors_is_named_and_not_made(tmp_path, write, name):
    path = write(tmp_path / "a.pth", {"x": ATTACKS[name]}, {})
    with pytest.raises(Failed, match=rf"holds no tensors, but x \({name}\)".replace(".", r"\.")):
        read_state_dict(path)


def test_an_attack_in_the_header_of_the_old_format(tmp_path):
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(Failed, match=r"not one that torch\.save wrote; it holds \w*io\.open"):
        read_state_dict(path)
    assert not marker.exists()


NAN = struct.pack("<d", float("nan"))
BESIDE = {
    "args": Call(("argparse", "Namespace"), state={"lr": 0.1, "model": "resnet"}),
    "acc": Call(("numpy._core.multiarray", "scalar"), Call(("numpy", "dtype"), "f8", False), NAN),
    "when": Call(("datetime", "datetime"), b"\x07\xe8\x01\x02\x03\x04\x05\x00\x00\x00"),
    "path": Call(("pathlib", "PosixPath"), "a", "b"),
    "device": Call(("torch", "device"), "cuda", 0),
    "dtype": Global(("torch", "float16")),
    "attack": ATTACKS["os.system"],
    "epoch": 3,
    "best": [1.0, None, {"a": ()}],
    "lambda": Global(("__main__", "<lambda>")),
}


@both
def test_whatever_is_beside_the_weights_does_no_harm(tmp_path, write, monkeypatch):
    monkeypatch.setattr("os.system", lambda command: pytest.fail("it ran"))
    arrays = {"conv.weight": NUMBERS.reshape(2, 3, 2, 2), "conv.bias": NUMBERS[:2]}
    value, storages = state_dict(arrays)
    optimizer = {"state": {0: {"exp_avg": tensor("FloatStorage", "m", 24, 0, (24,), (1,))}}}
    found = {**BESIDE, "optimizer": optimizer, "state_dict": value}
    path = write(tmp_path / "a.ckpt", found, {**storages, "m": NUMBERS})
    assert_same(read_state_dict(path), arrays)
    assert_same(read_state_dict(write(path, {**BESIDE, **value}, storages)), arrays)


@both
def test_parameters_are_tensors(tmp_path, write):
    inner = tensor("FloatStorage", "0", 24, 4, (2,), (3,))
    hooks = collections.OrderedDict()
    rebuild = ("torch._utils", "_rebuild_tensor_v2")
    of_a_class = (Global(rebuild), Global(("mine", "Tensor")), inner.arguments, {})
    value = {
        "old": Call(("torch._utils", "_rebuild_tensor"), *inner.arguments[:4]),
        "parameter": Call(("torch._utils", "_rebuild_parameter"), inner, True, hooks),
        "state": Call(("torch._utils", "_rebuild_parameter_with_state"), inner, True, hooks, {}),
        "mine": Call(("torch._tensor", "_rebuild_from_type_v2"), *of_a_class),
    }
    read = read_state_dict(write(tmp_path / "a.pth", value, {"0": NUMBERS}))
    assert_same(read, dict.fromkeys(value, np.array([4, 7], np.float32)))


@both
def test_a_pickled_module_has_the_names_of_its_state_dict(tmp_path, write):
    x = tensor("FloatStorage", "0", 24, 0, (24,), (1,))
    passing = {"_buffers": {"kept": x, "passing": x}, "_non_persistent_buffers_set": ["passing"]}
    linear = module(("torch.nn", "Linear"), _parameters={"weight": x, "bias": None})
    block = module(("mine", "Block"), _modules={"fc": linear, "0": linear, "act": None}, **passing)
    net = module(("mine", "Net"), _modules={"layer1": block}, _parameters={"scale": x})
    script = Call(
        ("__torch__", "Net"), state={"fc": Call(("__torch__", "L"), state={"w": x}), "b": x}
    )
    names = ["scale", "layer1.kept", "layer1.fc.weight", "layer1.0.weight"]
    for value, expected in (
        (net, names),
        ({"epoch": 1, "model": net}, names),
        (script, ["b", "fc.w"]),
    ):
        path = write(tmp_path / "a.pt", value, {"0": NUMBERS})
        assert_same(read_state_dict(path), dict.fromkeys(expected, NUMBERS))


def test_a_class_with_its_source_in_the_old_format(tmp_path):
    value, storages = state_dict({"x": NUMBERS})
    path = write_legacy(tmp_path / "a.pth", value, storages)
    # A reference ("module", class, file, source), as whole modules were saved then.
    reference = b"(X\x06\0\0\0modulecmine\nNet\nX\x01\0\0\0fX\x01\0\0\0stQ0"
    head, mark, rest = path.read_bytes().partition(b"ccollections\nOrderedDict\n")
    path.write_bytes(head + reference + mark + rest)
    assert_same(read_state_dict(path), {"x": NUMBERS})


def test_integers_are_not_weights(tmp_path):
    arrays = {"conv1.weight": np.ones((6, 1, 5, 5), np.int8), "conv1.bias": np.ones(6, np.float32)}
    for name, shape in {"conv2": (16, 6, 5, 5), "fc1": (120, 400), "fc2": (84, 120)}.items():
        arrays |= {f"{name}.weight": np.ones(shape, np.float16)}
        arrays |= {f"{name}.bias": np.ones(shape[0], ml_dtypes.bfloat16)}
    arrays |= {"fc3.weight": np.ones((10, 84)), "fc3.bias": np.ones(10, bool)}
    arrays["bn.num_batches_tracked"] = np.array(3)
    save_file(arrays, tmp_path / "a.safetensors")
    with pytest.raises((BadArgument, Failed), match=r"conv1\.weight is int8|fc3\.bias is bool"):
        load_weights("lenet5", tmp_path / "a.safetensors")
    arrays["conv1.weight"], arrays["fc3.bias"] = np.ones((6, 1, 5, 5)), np.ones(10, np.float32)
    save_file(arrays, tmp_path / "a.safetensors")
    loaded = load_weights("lenet5", tmp_path / "a.safetensors")
    assert {str(leaf.dtype) for leaf in loaded["params"]["conv1"].values()} == {"float32"}


def test_headers_that_do(tmp_path):
    header = {"y": entry([3], 12, 24), "e": entry([0, 2], 12, 12), "x": entry([], 8, 12)}
    header["w"] = entry([2, 1], 0, 8)
    read = read_state_dict(
        write_safetensors(tmp_path / "a.safetensors", header, NUMBERS[:6].tobytes())
    )
    w, x, y = NUMBERS[:2].reshape(2, 1), NUMBERS[2], NUMBERS[3:6]
    assert_same(read, {"y": y, "e": np.zeros((0, 2), np.float32), "x": x, "w": w})
    for length in (10**6, 2**24 + 1, 2**39):
        write_safetensors(tmp_path / "a.safetensors", header, b"", length)
        with pytest.raises(Failed, match=f"a header of {length:,} bytes"):
            read_state_dict(tmp_path / "a.safetensors")


def test_a_checksum_is_verified_where_there_is_one(tmp_path):
    arrays = {"b.weight": NUMBERS.reshape(4, 6), "a\x1b": NUMBERS[:3].astype(np.float16)}
    path = tmp_path / "a.safetensors"
    content = save(arrays, {CHECKSUM: content_digest(arrays)})
    path.write_bytes(content)
    assert_same(
        dict(sorted(read_state_dict(path).items())),
        {"a\\x1b": arrays["a\x1b"], "b.weight": arrays["b.weight"]},
    )
    changes = {
        "a number": (content[:-1], bytes([content[-1] ^ 1])),
        "a dtype": (content.replace(b'"F16"', b'"I16"'), b""),
        "a shape": (content.replace(b"[4,6]", b"[6,4]"), b""),
        "a name": (content.replace(b"b.weight", b"c.weight"), b""),
        "the checksum": (content.replace(content_digest(arrays).encode(), b"0" * 64), b""),
    }
    for parts in changes.values():
        assert b"".join(parts) != content
        path.write_bytes(b"".join(parts))
        with pytest.raises(Failed, match="its numbers are not those that were written"):
            read_state_dict(path)
