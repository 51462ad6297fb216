"""Reading files of weights: what they hold comes back, and nothing in them runs."""

import collections
import json
import os
import pickle
import struct
import zipfile

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
    state_dict,
    tensor,
    write_legacy,
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


def module(path, **attributes):
    """A pickled torch.nn.Module."""
    parts = {"_parameters": {}, "_buffers": {}, "_modules": {}, "training": False, **attributes}
    return Call(path, state=parts)


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


VIEWS = {
    "past the end": (20, (5,), (1,)),
    "one past the end": (24, (1,), (1,)),
    "a stride too far": (0, (2,), (24,)),
    "before the start": (-1, (2,), (1,)),
    "backwards": (5, (2,), (-1,)),
    "without end": (0, (10**12,), (0,)),
    "larger than its storage": (0, (5, 5), (1, 1)),
    "not numbers": (0, ("2",), (1,)),
    "true numbers": (0, (True,), (1,)),
    "an offset that is none": (None, (1,), (1,)),
    "ranks that differ": (0, (2, 2), (1,)),
    "empty and negative": (0, (0, -1), (1, 1)),
    "empty and endless": (0, (0, 2**48), (1, 1)),
}


@both
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_outside_their_storage_are_refused(tmp_path, write, view):
    state = {"x": tensor("FloatStorage", "0", 24, *view)}
    with pytest.raises(Failed, match="x: a tensor of shape"):
        read_state_dict(write(tmp_path / "a.pth", state, {"0": NUMBERS}))


UNREADABLE = {
    "quantized": (Call(("torch._utils", "_rebuild_qtensor"), 1), "_rebuild_qtensor, a kind"),
    "sparse": (Call(("torch._utils", "_rebuild_sparse_tensor"), 1), "_rebuild_sparse_tensor, a"),
    "complex": (tensor("ComplexFloatStorage", "0", 12, 0, (1,), (1,)), "a torch.ComplexFloatSto"),
    "no storage": (Call(("torch._utils", "_rebuild_tensor_v2"), 1, 0, (1,), (1,)), "without a st"),
    "no shape": (
        Call(("torch._utils", "_rebuild_tensor_v2"), Storage("FloatStorage", "0", 24)),
        "s",
    ),
    "many axes": (tensor("FloatStorage", "0", 24, 0, (1,) * 33, (1,) * 33), "without a shape"),
    "no count": (tensor("FloatStorage", "0", None, 0, (1,), (1,)), "a storage of None numbers"),
    "dtype changed": (tensor("DoubleStorage", "0", 24, 0, (24,), (1,)), "96 bytes, not 24 of floa"),
    "float8": (
        Call(
            ("torch._utils", "_rebuild_tensor_v3"),
            *(Storage("UntypedStorage", "0", 96), 0, (1,), (1,), False, {}),
            *(Global(("torch", "float8_e4m3fn")), None),
        ),
        "_rebuild_tensor_v3 with dtype torch.float8_e4m3fn",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_tensors_that_are_not_read_are_named(tmp_path, name):
    value, words = UNREADABLE[name]
    path = write_zip(tmp_path / "a.pth", {"fc.weight": value}, {"0": NUMBERS})
    with pytest.raises(Failed, match=rf"a\.pth: fc\.weight: .*{words}"):
        read_state_dict(path)


def test_integers_are_not_weights(tmp_path):
    arrays = {"conv1.weight": np.ones((6, 1, 5, 5), np.int8), "conv1.bias": np.ones(6, np.float32)}
    for name, shape in {"conv2": (16, 6, 5, 5), "fc1": (120, 400), "fc2": (84, 120)}.items():
        arrays |= {f"{name}.weight": np.ones(shape, np.float16)}
        arrays |= {f"{name}.bias": np.ones(shape[0], ml_dtypes.bfloat16)}
    arrays |= {"fc3.weight": np.ones((10, 84)), "fc3.bias": np.ones(10, bool)}
    arrays["bn.num_batches_tracked"] = np.array(3)
    save_file(arrays, tmp_path / "a.safetensors")
    told = (
        r"weights: (conv1\.weight is int8, fc3\.bias is bool|fc3\.bias is bool, conv1\.wei.*); al"
    )
    with pytest.raises(BadArgument, match=told):
        load_weights("lenet5", tmp_path / "a.safetensors")
    arrays["conv1.weight"], arrays["fc3.bias"] = np.ones((6, 1, 5, 5)), np.ones(10, np.float32)
    save_file(arrays, tmp_path / "a.safetensors")
    loaded = load_weights("lenet5", tmp_path / "a.safetensors")
    assert {str(leaf.dtype) for leaf in loaded["params"]["conv1"].values()} == {"float32"}


def write_safetensors(path, header, data, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


HEADERS = {
    "no JSON": b'{"x": ',
    "no dictionary of tensors": {"x": [1]},
    "no dtype": {"x": {"shape": [6], "data_offsets": [0, 24]}},
    "an unknown dtype": {"x": entry([6], 0, 24, "F8_E4M3")},
    "a dtype of another width": {"x": entry([6], 0, 24, "F64")},
    "a shape of another size": {"x": entry([7], 0, 24)},
    "a negative size": {"x": entry([-6], 0, 24)},
    "two negative sizes": {"x": entry([-2, -3], 0, 24)},
    "a size that is text": {"x": entry(["6"], 0, 24)},
    "a size that is no integer": {"x": entry([6.5], 0, 24)},
    "33 axes": {"x": entry([1] * 32 + [6], 0, 24)},
    "offsets backwards": {"x": entry([6], 24, 0)},
    "three offsets": {"x": {"dtype": "F32", "shape": [6], "data_offsets": [0, 12, 24]}},
    "a hole": {"x": entry([2], 0, 8), "y": entry([3], 12, 24)},
    "a hole at the start": {"x": entry([5], 4, 24)},
    "an overlap": {"x": entry([4], 0, 16), "y": entry([3], 12, 24)},
    "bytes too many": {"x": entry([5], 0, 20)},
    "bytes too few": {"x": entry([7], 0, 28)},
    "metadata of numbers": {"__metadata__": {"a": 1}, "x": entry([6], 0, 24)},
    "no metadata": {"__metadata__": 1, "x": entry([6], 0, 24)},
    "endless and empty": {"x": entry([6], 0, 24), "y": entry([0, 2**48, 2**48], 24, 24)},
    "without a bottom": b'{"x":' * 10_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_do_not_account_for_the_file(tmp_path, name):
    path = write_safetensors(tmp_path / "a.safetensors", HEADERS[name], NUMBERS[:6].tobytes())
    with pytest.raises(Failed, match=r"a\.safetensors: "):
        read_state_dict(path)


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


ARCHIVES = {
    "big-endian": ({"byteorder": b"big"}, r"byte order b'big'"),
    "a compressed order": ({"compressed": ["byteorder"]}, "byteorder is compressed"),
    "a compressed storage": ({"compressed": ["data/0"]}, "data/0 is compressed"),
    "a long order": ({"byteorder": b"little" * 9}, "byteorder has 54 bytes, where 16 can be"),
    "no pickle": ({"root": "archive/deeper/data.pkl"}, None),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(tmp_path, name):
    value, storages = state_dict({"x": NUMBERS})
    options, words = ARCHIVES[name]
    path = write_zip(tmp_path / "a.pth", value, storages, **options)
    if words is None:  # another folder inside is as good
        assert_same(read_state_dict(path), {"x": NUMBERS})
        return
    with pytest.raises(Failed, match=words):
        read_state_dict(path)


def test_archives_that_torch_never_writes(tmp_path):
    value, storages = state_dict({"x": NUMBERS, "y": NUMBERS})
    path = write_zip(tmp_path / "a.pth", value, storages, byteorder=None)
    assert_same(read_state_dict(path), {"x": NUMBERS, "y": NUMBERS})  # before torch 2.1
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rewrite(members, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    for changed, words in (
        ({**members, "other/data.pkl": b""}, "a zip file, but not one that torch.save wrote"),
        ({"a.txt": b""}, "a zip file, but not one that torch.save wrote"),
        ({**members, "archive/data.pkl": b"\x80\x02"}, "its pickle is damaged"),
        ({n: c for n, c in members.items() if not n.endswith("/1")}, "archive/data/1"),
        ({**members, "archive/data/1": bytes(92)}, "y: damaged: storage 1 has 92 bytes, not 24"),
    ):
        rewrite(changed)
        with pytest.raises(Failed, match=words):
            read_state_dict(path)
    rewrite(members, zipfile.ZIP_DEFLATED)
    with pytest.raises(Failed, match=r"data\.pkl is compressed"):
        read_state_dict(path)
    rewrite(members)
    path.write_bytes(path.read_bytes().replace(NUMBERS.tobytes(), NUMBERS[::-1].tobytes()))
    with pytest.raises(Failed, match="CRC"):
        read_state_dict(path)


MODULES = {  # each in two places of the next: 2^40 paths
    "without tensors": lambda inner: {"_modules": {"a": inner, "b": inner}},
    "by lists": lambda inner: {"_modules": {}, "a": [inner, inner]},
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_double_end(tmp_path, name):
    net = module(("mine", "Net"))
    for _ in range(40):
        net = module(("mine", "Net"), **MODULES[name](net))
    with pytest.raises(Failed, match=r"more than 100,000 parts|holds no tensors"):
        read_state_dict(write_zip(tmp_path / "a.pth", net))


OLD = {
    "big-endian": ({"little_endian": False}, "big-endian"),
    "another number": ({"magic": 7}, r"a pickle, but not one that torch\.save wrote; it holds int"),
}


@pytest.mark.parametrize("name", OLD)
def test_old_files_of_another_kind(tmp_path, name):
    value, storages = state_dict({"x": NUMBERS})
    options, words = OLD[name]
    with pytest.raises(Failed, match=words):
        read_state_dict(write_legacy(tmp_path / "a.pth", value, storages, **options))


def test_old_files_that_are_damaged(tmp_path):
    value, storages = state_dict({"x": NUMBERS, "y": NUMBERS[:3]})
    path = write_legacy(tmp_path / "a.pth", value, storages)
    content = path.read_bytes()
    count = struct.pack("<q", 24)
    for changed, words in (
        (content[:-1], "damaged, or cut off: a storage of 3 numbers"),
        (content[:-13], "damaged"),
        (content.replace(count, struct.pack("<q", -24)), "a storage of -24 numbers"),
        (content.replace(count, struct.pack("<q", 2**60)), "a storage of 1,152,"),
        (content.replace(count, struct.pack("<q", 23)), "damaged"),
        (content.replace(b"K\x18N", b"K\x17N"), "x: damaged: storage 0 has 96 bytes, not 23"),
    ):
        assert changed != content
        path.write_bytes(changed)
        with pytest.raises(Failed, match=words):
            read_state_dict(path)
    unknown = {"x": tensor("QInt8Storage", "0", 24, 0, (24,), (1,))}
    with pytest.raises(Failed, match="a storage '0' that is of no known kind"):
        read_state_dict(write_legacy(path, unknown, {"0": NUMBERS}))
    path.write_bytes(content.replace(b"K\x18Nt", b"K\x18K\x01t"))
    with pytest.raises(Failed, match="views of each other"):
        read_state_dict(path)


REFERENCES = {
    "no tuple": b"K\x05Q",
    "another kind": b"(X\x05\0\0\0modelctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x18tQ",
    "a class by text": b"(X\x07\0\0\0storageX\x01\0\0\0FX\x01\0\0\x000X\x03\0\0\0cpuK\x18tQ",
    "a key that is none": b"(X\x07\0\0\0storagectorch\nFloatStorage\nK\0X\x03\0\0\0cpuK\x18tQ",
}


@pytest.mark.parametrize("name", REFERENCES)
def test_references_to_something_else(tmp_path, name):
    content = b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n("
    content += REFERENCES[name] + b"K\0K\x18\x85K\x01\x85tRs."
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", NUMBERS.tobytes())
    with pytest.raises(Failed, match="x: its pickle refers to something that is not a storage"):
        read_state_dict(tmp_path / "a.pth")


def test_damaged_and_foreign_files(tmp_path):
    value, storages = state_dict({"x": NUMBERS})
    whole = write_zip(tmp_path / "whole.pth", value, storages).read_bytes()
    old = write_legacy(tmp_path / "old.pth", value, storages).read_bytes()
    safe = save({"x": NUMBERS})
    contents = [whole[:200], old[:-9], old[:60], safe[:-4], safe[:10], pickle.dumps([1])]
    for index, content in enumerate([*contents, b"", b"hello", b"\xff" * 40, bytes(40), b"{"]):
        for suffix in (".pth", ".safetensors"):
            path = tmp_path / f"{index}{suffix}"
            path.write_bytes(content)
            with pytest.raises(Failed, match=path.name):
                read_state_dict(path)
    with pytest.raises(Failed, match=r"holds no tensors, but epoch \(int\), args \(dict\)"):
        read_state_dict(write_zip(tmp_path / "e.pth", {"epoch": 1, "args": {}}, {}))
    with pytest.raises(Failed, match="holds no tensors, but nothing"):
        read_state_dict(write_zip(tmp_path / "e.pth", {}, {}))
    with pytest.raises(Failed, match="empty"):
        read_state_dict(tmp_path / "6.pth")
    with pytest.raises(BadArgument, match="no file"):
        read_state_dict(tmp_path / "absent.pth")


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(BadArgument, match="a pipe or a device"):
        read_state_dict(tmp_path / "pipe.pth")
    with pytest.raises(BadArgument, match="a pipe or a device"):
        read_state_dict("/dev/zero")
    with pytest.raises(BadArgument, match=r"is a directory; .* its weights\.safetensors"):
        read_state_dict(tmp_path)


MISTAKEN = {
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs pull",
    ),
    "HTML": (b"<!DOCTYPE html>\n<html lang=en>", "a web page"),
    "HTML with a space": (b"\r\n\t <HTML>", "a web page"),
    "an answer of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied', "a web page"),
    "text": (b"weights", "not a file of weights in a known form"),
    "tags": (b"<weights>", "not a file of weights in a known form"),
    "JSON": (b'{"model_type": "resnet"}', "an index of shards: damaged"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_what_was_downloaded_instead_is_told(tmp_path, name):
    content, words = MISTAKEN[name]
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(Failed, match=words):
        read_state_dict(tmp_path / "model.safetensors")


def test_names_cannot_steer_a_terminal(tmp_path):
    save_file({"\x1b]0;title\x07fc\n": NUMBERS}, tmp_path / "a.safetensors")
    assert list(read_state_dict(tmp_path / "a.safetensors")) == [r"\x1b]0;title\x07fc\n"]
    evil = {"\x1b[2J": Call(("os\x1b", "system"))}
    with pytest.raises(Failed) as error:
        read_state_dict(write_zip(tmp_path / "\x1b[1m.pth", evil, {}))
    assert str(error.value).isprintable()
    value, _ = state_dict({"a\x1b": NUMBERS, "b": NUMBERS})
    with pytest.raises(Failed) as error:
        read_state_dict(write_zip(tmp_path / "a.pth", {"s\x1b": value}, {"0": NUMBERS[:3]}))
    assert r"s\x1b.a\x1b" in str(error.value)
