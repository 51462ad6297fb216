"""The checksum of named tensors, against its definition."""

import hashlib

import ml_dtypes
import numpy as np
import pytest

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


@pytest.mark.parametrize("name", SAFETENSORS_DTYPES)
def test_every_dtype_is_spelled_as_safetensors_does(name):
    array = np.array([0, 1], SAFETENSORS_DTYPES[name])
    content = f"x {name} [2]\n".encode() + array.tobytes()
    assert content_digest({"x": array}) == hashlib.sha256(content).hexdigest()


def test_another_dtype_has_no_checksum():
    with pytest.raises(KeyError):
        content_digest({"x": np.zeros(2, complex)})
