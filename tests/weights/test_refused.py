"""Files that are refused: views, headers, archives and references that do not hold, and others."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import read_state_dict
from tests.weights.torch_format import (
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
        np.testing.assert_array_equal(read[name], array, strict=True)


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
