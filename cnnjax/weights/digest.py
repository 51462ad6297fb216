"""A checksum of what a file of weights holds: names, dtypes, shapes and numbers."""

import hashlib
from collections.abc import Mapping
from typing import Any

import ml_dtypes  # noqa: F401 - tells numpy what bfloat16 is
import numpy as np

from cnnjax.tensors import DTYPES

__all__ = ["CHECKSUM", "SAFETENSORS_DTYPES", "content_digest"]

CHECKSUM = "cnnjax_sha256"
"""The entry of a safetensors file's metadata that holds its `content_digest`."""

SAFETENSORS_DTYPES: Mapping[str, np.dtype[Any]] = {
    code: np.dtype(name) for name, code in DTYPES.items()
}
"""The dtypes that are read and written, as safetensors spells them."""

_SPELLED = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}


def content_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named tensors as hexadecimal digits; their order does not matter.

    For each name, sorted, the line `f"{name} {dtype} {shape}"` (the dtype as safetensors spells it,
    the shape as a list of Python's), a line feed, and the tensor's bytes in C order.

    Args:
        tensors: arrays of any shape, of the dtypes in `SAFETENSORS_DTYPES`, little-endian.

    Raises:
        KeyError: for another dtype.

    >>> content_digest({"a": np.zeros((2, 0), np.float32)})[:16]
    'b0a63c15e4bfd160'
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name])
        digest.update(f"{name} {_SPELLED[array.dtype]} {list(array.shape)}\n".encode())
        # As bytes: bfloat16 has no buffer of its own, and hashing this one copies nothing.
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
