"""Equal tensors and metadata make equal safetensors files."""

import json

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from cnnjax.tensors import canonical

TENSORS = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.int8)}


def contents(metadata):
    return {canonical(save(TENSORS, metadata)) for _ in range(20)}


def test_the_order_of_metadata_is_that_of_the_alphabet_every_time(tmp_path):
    metadata = {name: f"ä{name}" for name in "zyxwvabc"}
    (content,) = contents(metadata)
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(content[8 : 8 + length])["__metadata__"]) == sorted(metadata)
    (tmp_path / "file").write_bytes(content)
    with safe_open(tmp_path / "file", framework="numpy") as file:
        assert file.metadata() == metadata
        for name, tensor in TENSORS.items():
            np.testing.assert_array_equal(file.get_tensor(name), tensor)
            assert file.get_tensor(name).dtype == tensor.dtype


def test_a_file_without_metadata_keeps_its_tensors(tmp_path):
    (content,) = contents(None)
    (tmp_path / "file").write_bytes(content)
    with safe_open(tmp_path / "file", framework="numpy") as file:
        assert not file.metadata()
        assert sorted(file.keys()) == ["a", "b"]
