"""Files that `torch.save` wrote: a pickle that places tensors, and the storages that hold them."""

import functools
import io
import math
import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import ml_dtypes
import numpy as np

from cnnjax.errors import Failed
from cnnjax.weights.read.entries import Contents, Entry
from cnnjax.weights.read.pickles import Made, Named, Stored, read_pickle
from cnnjax.weights.read.walk import described, walk

__all__ = ["is_pickle", "is_zip", "read_legacy", "read_zip"]

_DTYPES: Mapping[str, np.dtype[Any]] = {
    f"torch.{name}": np.dtype(dtype)
    for name, dtype in {
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
        "uint16": np.uint16,
        "uint32": np.uint32,
        "uint64": np.uint64,
    }.items()
}
_UNTYPED = {"torch.storage.UntypedStorage", "torch.UntypedStorage"}
# What torch.save wrote before it wrote zip files begins with this number as a pickle of its own.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MOST_PICKLE = 2**26  # bytes; a thousand tensors take about 200,000

Storages = Callable[[str], bytes | memoryview]
"""Returns the bytes of a storage by its key."""


def is_zip(beginning: bytes) -> bool:
    """Tell whether a file that begins so is a zip file, as `torch.save` writes since 1.6."""
    return beginning.startswith(b"PK\x03\x04")


def is_pickle(beginning: bytes) -> bool:
    """Tell whether a file that begins so is a pickle, as `torch.save` wrote until 1.6."""
    return beginning[:1] == b"\x80" and beginning[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read_zip(stream: IO[bytes]) -> Contents:
    """Return the contents of a zip file of `torch.save`; raises `Failed` for another one.

    Args:
        stream: seekable; the entries read from it.
    """
    archive = zipfile.ZipFile(stream)
    names = set(archive.namelist())
    pickles = [name for name in names if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Failed("a zip file, but not one that torch.save wrote")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}byteorder" in names:
        order = _member(archive, f"{root}byteorder", 16)
        if order != b"little":
            raise Failed(f"byte order {order!r}; only little-endian files are read")
    content = _member(archive, pickles[0], _MOST_PICKLE)
    found, _ = read_pickle(io.BytesIO(content))
    size = os.fstat(stream.fileno()).st_size
    read: dict[str, bytes] = {}

    def storage(key: str) -> bytes:
        if key not in read:
            read[key] = _member(archive, f"{root}data/{key}", size)
        return read[key]

    return _contents(found, storage)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a file in an archive, which torch.save never compresses."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise Failed(f"{name} is compressed, which torch.save never does")
    if info.file_size > most:
        raise Failed(f"{name} has {info.file_size:,} bytes, where {most:,} can be")
    return archive.read(info)


def read_legacy(stream: IO[bytes]) -> Contents:
    """Return the contents of a file of the older format; raises `Failed` for another pickle."""
    stream.seek(0)
    content = stream.read()
    file = io.BytesIO(content)
    magic, _ = read_pickle(file)
    if magic != _LEGACY_MAGIC:
        held = ", ".join(described(magic))
        raise Failed(f"a pickle, but not one that torch.save wrote; it holds {held}")
    read_pickle(file)  # the protocol's version
    system, _ = read_pickle(file)
    if not isinstance(system, dict) or not system.get("little_endian", True):
        raise Failed("big-endian; only little-endian files are read")
    found, references = read_pickle(file)
    stored = [each for each in references if not _is_class(each)]
    sizes = {key: dtype.itemsize for key, dtype, _ in map(_reference, stored) if dtype}
    keys, _ = read_pickle(file)
    storages, position = {}, file.tell()
    for key in keys:
        if key not in sizes:
            raise Failed(f"a storage {key!r} that is of no known kind")
        (count,) = struct.unpack_from("<q", content, position)
        start, position = position + 8, position + 8 + count * sizes[key]
        if count < 0 or position > len(content):
            raise Failed(f"damaged, or cut off: a storage of {count:,} numbers")
        storages[key] = memoryview(content)[start:position]
    return _contents(found, storages.__getitem__)


def _contents(found: Any, storages: Storages) -> Contents:
    entries = [
        Entry(mapping, name, functools.partial(view.array, storages))
        for mapping, name, view in walk(found, _view)
    ]
    return Contents(entries, described(found))


def _is_class(stored: Stored) -> bool:
    """Tell whether a reference is a class with its source, as whole modules were saved once."""
    return isinstance(stored.identifier, tuple) and stored.identifier[:1] == ("module",)


def _reference(stored: Stored) -> tuple[str, np.dtype[Any] | None, int]:
    """Return key, dtype (None for one that numpy has not) and count of a reference to a storage."""
    if not isinstance(stored.identifier, tuple):
        raise Failed("its pickle refers to something that is not a storage")
    kind, storage, key, _, count, *rest = stored.identifier
    if kind != "storage" or not isinstance(storage, Named) or not isinstance(key, str):
        raise Failed("its pickle refers to something that is not a storage")
    if type(count) is not int or count < 0:
        raise Failed(f"its pickle refers to a storage of {count!r} numbers")
    if rest and rest[0] is not None:
        raise Failed("its storages are views of each other; save it again with PyTorch >= 1.6")
    dtype = np.dtype(np.uint8) if storage.path in _UNTYPED else _DTYPES.get(storage.path)
    return key, dtype, count


@dataclass(frozen=True)
class _View:
    """A tensor: which numbers of a storage, with the offset and strides counted in numbers."""

    made_by: str
    storage: Any
    offset: Any
    shape: Any
    strides: Any
    dtype: np.dtype[Any] | None

    def array(self, storages: Storages) -> np.ndarray:
        """Return the view, having checked that it lies inside its storage."""
        if self.made_by not in _REBUILD:
            raise Failed(f"made by {self.made_by}, a kind of tensor that is not read")
        if not isinstance(self.storage, Stored):
            raise Failed("a tensor without a storage")
        key, dtype, count = _reference(self.storage)
        if dtype is None:
            raise Failed(f"a tensor in a {self.storage.identifier[1].path}, which is not read")
        data = storages(key)
        if len(data) != count * dtype.itemsize:
            raise Failed(
                f"damaged: storage {key} has {len(data):,} bytes, not {count:,} of {dtype}"
            )
        flat = np.frombuffer(data, self.dtype or dtype)
        shape, strides = self._sizes()
        if 0 in shape:
            return np.zeros(shape, flat.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        # An expanded view (stride 0) is refused past the storage's size: it could be of any size.
        if last >= flat.size or math.prod(shape) > flat.size:
            raise Failed(f"a tensor of shape {shape} reaches past its storage (file cut off?)")
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :], shape, [s * flat.itemsize for s in strides], writeable=False
        )

    def _sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape, strides = map(_plain, (self.shape, self.strides))
        numbers = (self.offset, *shape, *strides)
        if len(shape) != len(strides) or not all(
            type(n) is int and 0 <= n < 2**48 for n in numbers
        ):
            raise Failed(f"a tensor of shape {shape!r:.99} with strides {strides!r:.99}")
        return shape, strides


def _plain(sizes: Any) -> tuple[Any, ...]:
    """Return the numbers of a tuple, or of a torch.Size."""
    if isinstance(sizes, Made) and sizes.path == "torch.Size" and sizes.arguments:
        sizes = sizes.arguments[0]
    if not isinstance(sizes, tuple | list) or len(sizes) > 32:
        raise Failed("a tensor without a shape or strides")
    return tuple(each if type(each) is int else type(each).__name__ for each in sizes)


_REBUILD = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_AROUND = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
_OF_A_CLASS = {"torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"}


def _view(made: Made) -> _View | None:
    """Return the tensor that a call would make, or None where it makes something else."""
    for _ in range(4):  # a parameter around a tensor of a class of its own: one in the other
        if made.path in _AROUND and made.arguments and isinstance(made.arguments[0], Made):
            made = made.arguments[0]
        elif made.path in _OF_A_CLASS and len(made.arguments) > 2:
            function, _, arguments = made.arguments[:3]
            path = function.path if isinstance(function, Named) else "?"
            made = Made(path, arguments if isinstance(arguments, tuple) else ())
    if not made.path.startswith("torch.") or "._rebuild" not in made.path:
        return None
    padded: tuple[Any, ...] = (*made.arguments, None, None, None, None)
    storage, offset, shape, strides, *rest = padded
    if not made.path.endswith("_v3"):
        return _View(made.path, storage, offset, shape, strides, None)
    kind = rest[2].path if len(rest) > 2 and isinstance(rest[2], Named) else "?"
    path = made.path if kind in _DTYPES else f"{made.path} with dtype {kind}"
    return _View(path, storage, offset, shape, strides, _DTYPES.get(kind))
