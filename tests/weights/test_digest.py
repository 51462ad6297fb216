"""The checksum of named tensors, against its definition."""

import hashlib
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save

from cnnjax.weights.digest import SAFETENSORS_DTYPES, content_digest


def test_it_is_what_its_definition_says():
    transposed = np.arange(6, dtype="<f4").reshape(2, 3).T
    tensors = {"b.weight": transposed, "a": np.array(-2, "<i8"), "\u00e9": np.ones(2, bool)}
    tensors["c"] = np.array([1.5], ml_dtypes.bfloat16)
    content = (
        b"a I64 []\n"
        + (-2).to_bytes(8, "little", signed=True)
        + b"b.weight F32 [3, 2]\n"
        + np.array([0, 3, 1, 4, 2, 5], "<f4").tobytes()
        + b"c BF16 [1]\n\xc0\x3f"
        + "\u00e9 BOOL [2]\n\x01\x01".encode()
    )
    assert content_digest(tensors) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"]
)
def test_every_dtype_is_spelled_as_the_package_does(dtype):
    check_spelling(np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.bool_, ml_dtypes.bfloat16])
def test_those_that_numpy_spells_otherwise_too(dtype):
    check_spelling(np.dtype(dtype))
    assert len(SAFETENSORS_DTYPES) == 13


def check_spelling(dtype):
    array = np.array([0, 1], dtype)
    written = save({"x": array})
    name = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])["x"]["dtype"]
    assert SAFETENSORS_DTYPES[name] == dtype
    content = f"x {name} [2]\n".encode() + array.tobytes()
    assert content_digest({"x": array}) == hashlib.sha256(content).hexdigest()


def test_another_dtype_has_no_checksum():
    with pytest.raises(KeyError):
        content_digest({"x": np.zeros(2, complex)})
