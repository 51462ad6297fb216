"""Reading PyTorch files: what they hold comes back, and nothing in them runs."""

import collections
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import read_state_dict


class Global:
    """Pickles as a reference to `module.name`, which need not exist."""

    def __init__(self, path):
        self.path = path

    def __reduce_ex__(self, protocol):
        return self.path


class Call:
    """Pickles as a call of a global with arguments."""

    def __init__(self, path, *arguments):
        self.path, self.arguments = path, arguments


class Storage(collections.namedtuple("Storage", "kind key count")):
    pass


class Writer(pickle._Pickler):
    """Writes what torch.save writes, without torch: globals by name and persistent storages."""

    def __init__(self, file, legacy=False):
        super().__init__(file, protocol=2)
        self.legacy = legacy

    def persistent_id(self, value):
        if isinstance(value, Storage):
            view = (None,) if self.legacy else ()
            return ("storage", Global(("torch", value.kind)), value.key, "cpu", value.count, *view)
        return None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            self.write(b"c" + "\n".join(value.path).encode() + b"\n")
        elif isinstance(value, Call):
            self.save(Global(value.path))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


def tensor(kind, key, count, offset, shape, strides):
    storage = Storage(kind, key, count)
    hooks = collections.OrderedDict()
    path = ("torch._utils", "_rebuild_tensor_v2")
    return Call(path, storage, offset, shape, strides, False, hooks)


def write_zip(path, value, storages, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Writer(file).dump(value)
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_legacy(path, value, storages):
    with open(path, "wb") as file:
        for header in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        Writer(file, legacy=True).dump(value)
        pickle.dump(list(storages), file, protocol=2)
        for array in storages.values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path


NUMBERS = np.arange(24, dtype=np.float32)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_views_share_a_storage(tmp_path, write):
    state = collections.OrderedDict(
        whole=tensor("FloatStorage", "0", 24, 0, (2, 3, 4), (12, 4, 1)),
        transposed=tensor("FloatStorage", "0", 24, 0, (4, 6), (1, 4)),
        part=tensor("FloatStorage", "0", 24, 5, (3,), (2,)),
        scalar=tensor("FloatStorage", "0", 24, 7, (), ()),
        empty=tensor("FloatStorage", "0", 24, 0, (0, 3), (3, 1)),
    )
    read = read_state_dict(write(tmp_path / "a.pth", state, {"0": NUMBERS}))
    np.testing.assert_array_equal(read["whole"], NUMBERS.reshape(2, 3, 4))
    np.testing.assert_array_equal(read["transposed"], NUMBERS.reshape(6, 4).T)
    np.testing.assert_array_equal(read["part"], [5, 7, 9])
    assert read["scalar"].shape == ()
    assert read["scalar"] == 7
    assert read["empty"].shape == (0, 3)


DTYPES = {
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


@pytest.mark.parametrize(("kind", "dtype"), DTYPES.items())
def test_dtypes(tmp_path, kind, dtype):
    array = np.array([0, 1, 3]).astype(dtype)
    state = {"x": tensor(kind, "0", 3, 0, (3,), (1,))}
    read = read_state_dict(write_zip(tmp_path / "a.pt", state, {"0": array}))
    assert read["x"].dtype == dtype
    np.testing.assert_array_equal(read["x"], array)


def test_safetensors_dtypes(tmp_path):
    state = {str(d): np.array([0, 1, 3]).astype(d) for d in (*DTYPES.values(), np.float32)}
    save_file(state, tmp_path / "a.safetensors")
    read = read_state_dict(tmp_path / "a.safetensors")
    assert {n: a.dtype for n, a in read.items()} == {n: a.dtype for n, a in state.items()}
    for name, array in state.items():
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("wrap", ["state_dict", "model"])
def test_checkpoints_are_unwrapped(tmp_path, wrap):
    parameter = Call(
        ("torch._utils", "_rebuild_parameter"),
        tensor("FloatStorage", "0", 24, 0, (24,), (1,)),
        True,
        collections.OrderedDict(),
    )
    value = {wrap: {"module.a": parameter}, "epoch": 3, "best": [1.0, None]}
    read = read_state_dict(write_zip(tmp_path / "a.pth", value, {"0": NUMBERS}))
    assert list(read) == ["a"]


ATTACKS = {
    "os.system": Call(("os", "system"), "exit 1"),
    "builtins.eval": Call(("builtins", "eval"), "1"),
    "builtins.getattr": Call(("builtins", "getattr"), {}, "clear"),
    "builtins.__import__": Call(("builtins", "__import__"), "os"),
    "torch.storage._load_from_bytes": Call(("torch.storage", "_load_from_bytes"), b""),
    "collections.defaultdict": Call(("collections", "defaultdict")),
    "torch.nn.modules.linear.Linear": Global(("torch.nn.modules.linear", "Linear")),
}


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("name", ATTACKS)
def test_anything_but_tensors_is_refused_by_name(tmp_path, write, name):
    path = write(tmp_path / "a.pth", {"x": ATTACKS[name]}, {})
    with pytest.raises(Failed, match=name.replace(".", r"\.")):
        read_state_dict(path)


def test_an_attack_in_the_header_of_the_old_format(tmp_path):
    marker = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(Failed, match="open"):
        read_state_dict(path)
    assert not marker.exists()


VIEWS = {
    "past the end": (20, (5,), (1,)),
    "a stride too far": (0, (2,), (24,)),
    "before the start": (-1, (2,), (1,)),
    "backwards": (5, (2,), (-1,)),
    "without end": (0, (10**12,), (0,)),
    "not numbers": (0, ("2",), (1,)),
    "ranks that differ": (0, (2, 2), (1,)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views_outside_their_storage_are_refused(tmp_path, view):
    state = {"x": tensor("FloatStorage", "0", 24, *view)}
    with pytest.raises(Failed, match="a tensor of shape"):
        read_state_dict(write_zip(tmp_path / "a.pth", state, {"0": NUMBERS}))


def test_damaged_and_foreign_files(tmp_path):
    state = {"x": tensor("FloatStorage", "0", 24, 0, (24,), (1,))}
    whole = write_zip(tmp_path / "whole.pth", state, {"0": NUMBERS}).read_bytes()
    old = write_legacy(tmp_path / "old.pth", state, {"0": NUMBERS}).read_bytes()
    save_file({"x": NUMBERS}, tmp_path / "whole.safetensors")
    safe = (tmp_path / "whole.safetensors").read_bytes()
    contents = [whole[:200], old[:-9], old[:60], b"", b"hello", pickle.dumps([1])]
    for index, content in enumerate(contents):
        path = tmp_path / f"{index}.pth"
        path.write_bytes(content)
        with pytest.raises(Failed, match=path.name):
            read_state_dict(path)
    for index, content in enumerate([safe[:-4], safe[:10], b"", b"\xff" * 40]):
        path = tmp_path / f"{index}.safetensors"
        path.write_bytes(content)
        with pytest.raises(Failed, match=path.name):
            read_state_dict(path)
    with pytest.raises(Failed, match="compressed"):
        read_state_dict(write_zip(tmp_path / "c.pth", state, {"0": NUMBERS}, zipfile.ZIP_DEFLATED))
    with pytest.raises(Failed, match="no tensors"):
        read_state_dict(write_zip(tmp_path / "e.pth", {"epoch": 1}, {}))
    with pytest.raises(BadArgument, match="no file"):
        read_state_dict(tmp_path / "absent.pth")
    with pytest.raises(BadArgument, match=r"\.safetensors"):
        read_state_dict(tmp_path / "weights.h5")
