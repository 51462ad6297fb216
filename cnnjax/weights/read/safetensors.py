"""Files in the safetensors format: a header in JSON, and the tensors' bytes behind it.

The format: https://github.com/huggingface/safetensors#format. Read here, not by the package, so
that only the wanted tensors are read, each once, from the file that is open already.
"""

import functools
import math
import os
from typing import IO, Annotated, Any, TypedDict

import msgspec
import numpy as np

from cnnjax.errors import Failed
from cnnjax.files import checked, decoded
from cnnjax.weights.digest import CHECKSUM, SAFETENSORS_DTYPES, content_digest
from cnnjax.weights.read.entries import Contents, Entry

__all__ = ["is_safetensors", "read_safetensors"]

_MOST_HEADER = 2**24  # bytes; a thousand tensors take about 100,000
_METADATA = "__metadata__"
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class _Tensor(TypedDict):
    dtype: str
    shape: Annotated[list[_Size], msgspec.Meta(max_length=32)]
    data_offsets: tuple[_Size, _Size]


def is_safetensors(beginning: bytes) -> bool:
    """Tell whether a file that begins so is one: the length of a header, and an opened brace."""
    return beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") < 2**40


def read_safetensors(stream: IO[bytes]) -> Contents:
    """Return the contents of a safetensors file.

    Args:
        stream: seekable; the entries read from it.

    Raises:
        Failed: for a header that is damaged, or that does not account for every byte of the file.
    """
    size = os.fstat(stream.fileno()).st_size
    stream.seek(0)
    length = int.from_bytes(stream.read(8), "little")
    if length > min(size - 8, _MOST_HEADER):
        raise Failed(f"damaged: a header of {length:,} bytes in a file of {size:,}")
    header = decoded(stream.read(length), dict[str, Any], "its header")
    metadata = checked(header.pop(_METADATA, {}), dict[str, str], "its header's metadata")
    tensors = checked(header, dict[str, _Tensor], "its header")
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = tensor["data_offsets"]
        if tensor["dtype"] not in SAFETENSORS_DTYPES:
            raise Failed(f"{name} has the unknown dtype {tensor['dtype']}")
        count = math.prod(tensor["shape"])
        if start != end or stop - start != count * SAFETENSORS_DTYPES[tensor["dtype"]].itemsize:
            raise Failed(
                f"damaged: {name} of shape {tensor['shape']} takes bytes {start} to {stop}"
            )
        end = stop
    if 8 + length + end != size:
        raise Failed(
            f"damaged, or cut off: {size:,} bytes, where its header makes {8 + length + end:,}"
        )
    entries = [_entry(stream, 8 + length, name, tensor) for name, tensor in tensors.items()]
    if CHECKSUM in metadata:
        entries = _verified(entries, metadata[CHECKSUM])
    return Contents(entries, list(tensors), metadata)


def _verified(entries: list[Entry], digest: str) -> list[Entry]:
    """Return the entries with their arrays at hand, which are those that were written."""
    arrays = {entry.name: entry.read() for entry in entries}
    if content_digest(arrays) != digest:
        raise Failed("damaged: its numbers are not those that were written (SHA-256 differs)")
    return [Entry("", name, functools.partial(np.asarray, array)) for name, array in arrays.items()]


def _entry(stream: IO[bytes], begin: int, name: str, tensor: _Tensor) -> Entry:
    start, stop = tensor["data_offsets"]

    def read() -> np.ndarray:
        stream.seek(begin + start)
        array = np.frombuffer(stream.read(stop - start), SAFETENSORS_DTYPES[tensor["dtype"]])
        return array.reshape(tensor["shape"])

    return Entry("", name, read)
