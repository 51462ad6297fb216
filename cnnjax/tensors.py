"""The bytes of a safetensors file: equal for equal content, and with a seal that damage breaks."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from cnnjax.errors import Failed
from cnnjax.files import checked, decoded, printable

__all__ = ["DTYPES", "canonical", "metadata_of", "sealed", "unsealed"]

DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
}
"""What a tensor can be made of: names of dtypes, and what the format calls them."""

_SEAL = "sha256"
_BLANK = "0" * 64


class _Entry(TypedDict):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def canonical(content: bytes) -> bytes:
    """Return a safetensors file's content with the metadata in its header in alphabetical order.

    The library writes them in the order of a hash table that differs from process to process.

    Args:
        content: of `safetensors.numpy.save`.

    Returns:
        The same tensors, names and metadata; equal bytes for equal ones.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the format wants
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def sealed(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file's content that holds the SHA-256 of all of its bytes.

    Where the digest stands, in the metadata under "sha256", 64 zeros are counted in its place.

    Args:
        tensors: by name; their dtypes are in `DTYPES`.
        metadata: any, but "sha256".

    Returns:
        Equal bytes for equal arguments.
    """
    from safetensors.numpy import save

    content = canonical(save(dict(tensors), {**metadata, _SEAL: _BLANK}))
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_seal(_BLANK), _seal(digest), 1)


def unsealed(content: bytes, what: str) -> dict[str, np.ndarray]:
    """Return the tensors of what `sealed` wrote, none of whose bytes has changed since.

    Args:
        content: of the file.
        what: a few words for the error, such as its path.

    Returns:
        Arrays by name, read-only views of the content.

    Raises:
        Failed: for content that differs in one bit or more, and for what was never sealed.
    """
    header, start = _header(content, what)
    metadata = checked(header.pop("__metadata__", {}), dict[str, str], what)
    digest = metadata.get(_SEAL, "")
    blank = content[:start].replace(_seal(digest), _seal(_BLANK), 1) + content[start:]
    if hashlib.sha256(blank).hexdigest() != digest:
        raise Failed(f"{printable(what)}: damaged: its bytes are not those that were written")
    names = {code: name for name, code in DTYPES.items()}
    tensors = {}
    for name, entry in checked(header, dict[str, _Entry], what).items():
        dtype, (begin, end) = np.dtype(names[entry["dtype"]]), entry["data_offsets"]
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(content) - start or end - begin != count * dtype.itemsize:
            raise Failed(f"{printable(what)}: damaged: its tensors are not where they should be")
        array = np.frombuffer(content, dtype, count, start + begin)
        tensors[name] = array.reshape(entry["shape"])
    return tensors


def metadata_of(content: bytes, what: str) -> dict[str, str]:
    """Return the metadata in a safetensors file's header; raises `Failed` where there is none."""
    header, _ = _header(content, what)
    return checked(header.get("__metadata__", {}), dict[str, str], what)


def _seal(digest: str) -> bytes:
    # Nothing else in a header reads like this: inside of a text the quotes are escaped.
    return f'"{_SEAL}":"{digest}"'.encode()


def _header(content: bytes, what: str) -> tuple[dict[str, Any], int]:
    """Return the header, and where the tensors begin."""
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= len(content):
        raise Failed(f"{printable(what)}: damaged, or not a safetensors file")
    return decoded(content[8:start], dict[str, Any], what), start
