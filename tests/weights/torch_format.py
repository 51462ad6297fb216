"""Writes files as torch.save does, without torch: from the description of the format alone."""

import collections
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C

DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Global:
    """Pickles as a reference to `module.name`, which need not exist."""

    def __init__(self, path):
        self.path = path

    def __reduce_ex__(self, protocol):
        return self.path


class Call:
    """Pickles as a call of a global with arguments, and a state for what it makes."""

    def __init__(self, path, *arguments, state=None):
        self.path, self.arguments, self.state = path, arguments, state


class Storage(collections.namedtuple("Storage", "kind key count")):
    """Pickles as a reference to a storage outside the pickle."""


class Writer(pickle._Pickler):
    """Writes globals by name, calls that are not made, and persistent storages."""

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
        elif isinstance(value, Call) and id(value) in self.memo:
            self.write(self.get(self.memo[id(value)][0]))
        elif isinstance(value, Call):
            self.save(Global(value.path))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
            self.memoize(value)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
        else:
            super().save(value, save_persistent_id)


def tensor(kind, key, count, offset, shape, strides):
    """A view of a storage of `count` numbers, with offset and strides in numbers."""
    hooks = collections.OrderedDict()
    path = ("torch._utils", "_rebuild_tensor_v2")
    return Call(path, Storage(kind, key, count), offset, shape, strides, False, hooks)


def write_zip(path, value, storages=(), compressed=(), byteorder=b"little", root="archive"):
    """Write what `torch.save` does since 1.6; `storages` are arrays by key."""
    members = {"byteorder": byteorder} if byteorder is not None else {}
    members |= {f"data/{key}": array.tobytes() for key, array in dict(storages).items()}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{root}/data.pkl", "w") as file:
            Writer(file).dump(value)
        for name, content in members.items():
            kind = zipfile.ZIP_DEFLATED if name in compressed else zipfile.ZIP_STORED
            archive.writestr(f"{root}/{name}", content, kind)
    return path


def write_legacy(path, value, storages=(), magic=MAGIC, little_endian=True):
    """Write what `torch.save` did until 1.6."""
    with open(path, "wb") as file:
        for header in (magic, 1001, {"little_endian": little_endian}):
            pickle.dump(header, file, protocol=2)
        Writer(file, legacy=True).dump(value)
        pickle.dump(list(storages), file, protocol=2)
        for array in dict(storages).values():
            file.write(struct.pack("<q", array.size) + array.tobytes())
    return path


def state_dict(arrays, prefix=""):
    """Describe arrays as a state dict: the value to write, and its storages."""
    kinds = {np.dtype(dtype): kind for kind, dtype in DTYPES.items()}
    value, storages = collections.OrderedDict(), {}
    for name, array in arrays.items():
        key = f"{prefix}{len(storages)}"
        strides = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides)
        storages[key] = np.ascontiguousarray(array).reshape(-1)
        strides = strides[: array.ndim]
        value[name] = tensor(kinds[array.dtype], key, array.size, 0, array.shape, strides)
    return value, storages
