"""Read state dicts from `.safetensors` and PyTorch files, without PyTorch and without running code.

A PyTorch file is a pickle, which can call any function; this reader knows a handful of names
(tensors, storages, ordered dictionaries) and refuses every other.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np

from cnnjax.errors import BadArgument, Failed

__all__ = ["SUFFIXES", "read_state_dict"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".th")

_DTYPES: dict[str, Any] = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
_SAFETENSORS_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
# What torch.save wrote before it wrote zip files begins with this number as a pickle of its own.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict by name, in torch layout and the file's own dtypes.

    `path` ends in `.safetensors`, or in `.pth`, `.pt`, `.bin` or `.th` for what `torch.save` writes
    (zip files and the older format). A state dict inside a checkpoint's `state_dict` or `model` is
    found; a prefix `module.` that all names share is dropped. Raises `BadArgument` for a path that
    is not such a file, `Failed` for a damaged file or one that names anything but tensors.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise BadArgument(f"weights: {str(path)!r} must end in one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise BadArgument(f"weights: there is no file {str(path)!r}")
    try:
        found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    except Failed as error:
        raise Failed(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise Failed(f"{path}: damaged, or not a file of weights ({error})") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    state = {str(name): array for name, array in found.items() if isinstance(array, np.ndarray)}
    if not state:
        raise Failed(f"{path}: holds no tensors; save model.state_dict()")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): array for name, array in state.items()}
    return state


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise Failed(f"damaged, or not a safetensors file ({error})") from None
    state = {}
    for name, entry in entries:
        if entry["dtype"] not in _SAFETENSORS_DTYPES:
            raise Failed(f"{name} has the unknown dtype {entry['dtype']}")
        array = np.frombuffer(entry["data"], _SAFETENSORS_DTYPES[entry["dtype"]])
        state[name] = array.reshape(entry["shape"])
    return state


def _read_torch(path: Path) -> Mapping[str, Any]:
    with open(path, "rb") as file:
        found = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
    if not isinstance(found, Mapping):
        raise Failed("holds no state dict; save model.state_dict()")
    return found


def _read_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Failed("a zip file, but not one that torch.save wrote")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist():
            order = archive.read(f"{root}byteorder")
            if order != b"little":
                raise Failed(f"byte order {order!r}; only little-endian files are read")
        with archive.open(pickles[0]) as stream:
            unpickler = _Unpickler(stream)
            found = unpickler.load()
        for storage in unpickler.storages.values():
            info = archive.getinfo(f"{root}data/{storage.key}")
            if info.compress_type != zipfile.ZIP_STORED:
                raise Failed("a compressed zip file, which torch.save never writes")
            storage.data = archive.read(info)
    return _resolve(found)


def _read_legacy(file: IO[bytes]) -> Any:
    file.seek(0)
    if _Unpickler(file).load() != _LEGACY_MAGIC:
        raise Failed("not a file that torch.save wrote")
    _Unpickler(file).load()  # the protocol's version
    system = _Unpickler(file).load()
    if not system.get("little_endian", True):
        raise Failed("big-endian; only little-endian files are read")
    unpickler = _Unpickler(file)
    found = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count < 0:
            raise Failed("a storage of negative size")
        storage.data = file.read(count * storage.dtype.itemsize)
    return _resolve(found)


@dataclass
class _Storage:
    """A flat buffer that tensors share; its bytes are read after the pickle."""

    dtype: np.dtype
    key: str
    data: bytes = b""


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Return a copy, having checked that the view lies inside the storage."""
        flat = np.frombuffer(self.storage.data, self.storage.dtype)
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or any(
            type(n) is not int or n < 0 for n in numbers
        ):
            raise Failed(f"a tensor of shape {self.shape} with strides {self.strides}")
        if 0 in self.shape:
            return np.zeros(self.shape, flat.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        count = 1
        for n in self.shape:
            count *= n
        # An expanded view (stride 0) is refused past the storage's size: it could be of any size.
        if last >= flat.size or count > flat.size:
            raise Failed(f"a tensor of shape {self.shape} reaches past its storage (file cut off?)")
        strides = tuple(s * flat.itemsize for s in self.strides)
        return np.lib.stride_tricks.as_strided(flat[self.offset :], self.shape, strides).copy()


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise Failed("a tensor without a storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", f"{name}Storage"): np.dtype(dtype) for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """An unpickler that finds the names in `_KNOWN` and nothing else."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise Failed(
                f"its pickle wants {module}.{name}, which a state dict does not need and which is "
                "not run; save model.state_dict(), or convert the file to .safetensors"
            )
        return _KNOWN[module, name]

    def persistent_load(self, identifier: Any) -> _Storage:
        kind, dtype, key, *rest = identifier
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise Failed("its pickle refers to something that is not a storage")
        if len(rest) > 2 and rest[2] is not None:
            raise Failed("its storages are views of each other; save it again with PyTorch >= 1.6")
        return self.storages.setdefault(key, _Storage(dtype, key))


def _resolve(found: Any) -> Any:
    """Replace the tensors in dictionaries, however deep, by arrays; leave the rest as it is."""
    if isinstance(found, _Tensor):
        return found.array()
    if isinstance(found, dict):
        return {key: _resolve(value) for key, value in dict.items(found)}
    return found
