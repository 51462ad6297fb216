"""Writing weights: whole trees only, equal files for equal runs, a checksum that is verified."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import freeze
from safetensors import safe_open
from safetensors.numpy import load_file

from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument
from cnnjax.weights import About, save_weights

TREE = {
    "params": {
        "conv1": {"kernel": jnp.arange(24.0).reshape(2, 2, 2, 3)},
        "bn1": {"scale": jnp.ones(3), "bias": jnp.zeros(3)},
    },
    "batch_stats": {"bn1": {"mean": jnp.full(3, 2.0), "var": jnp.full(3, 3.0)}},
}
ABOUT = About(("a", "b"), Preprocessing(8, 8, 1.0, "bicubic", (0.5,), (0.5,)), {"x": 1}, "cnn")
PROGRAM = """
import sys
from tests.weights.test_write import ABOUT, TREE
from cnnjax.weights import save_weights
save_weights(TREE, sys.argv[1], about=ABOUT)
"""


def test_names_layout_and_checksum_are_those_of_their_definitions(tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(TREE, path)
    held = load_file(path)
    assert {name: array.shape for name, array in held.items()} == {
        "conv1.weight": (3, 2, 2, 2),
        "bn1.weight": (3,),
        "bn1.bias": (3,),
        "bn1.running_mean": (3,),
        "bn1.running_var": (3,),
    }
    assert held["conv1.weight"][2, 1, 0, 1] == TREE["params"]["conv1"]["kernel"][0, 1, 1, 2]
    content = b""
    for name in sorted(held):
        content += f"{name} F32 {list(held[name].shape)}\n".encode() + held[name].tobytes()
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    checksum = hashlib.sha256(content).hexdigest()
    assert metadata == {"format": "pt", "cnnjax_sha256": checksum}


def test_equal_weights_make_equal_files_in_every_process(tmp_path):
    """The library orders metadata by a hash that differs from process to process."""
    save_weights(TREE, tmp_path / "a.safetensors", about=ABOUT)
    content = (tmp_path / "a.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert list(metadata) == sorted(metadata) == ["cnnjax", "cnnjax_sha256", "format"]
    for index in range(8):
        save_weights(TREE, tmp_path / f"{index}.safetensors", about=ABOUT)
        assert (tmp_path / f"{index}.safetensors").read_bytes() == content
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "other.safetensors")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "other.safetensors").read_bytes() == content


def test_a_frozen_tree_and_half_precision_are_written(tmp_path):
    save_weights(freeze(TREE), tmp_path / "a.safetensors")
    save_weights(TREE, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    half = {"params": {"fc": {"bias": jnp.full(3, 1.5, jnp.bfloat16)}}}
    save_weights(half, tmp_path / "c.safetensors")
    assert (tmp_path / "c.safetensors").read_bytes()[-6:] == 3 * b"\xc0\x3f"


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (TREE["params"], "without 'params'"),
        (TREE["batch_stats"], "without 'params'"),
        ({}, "without 'params'"),
        ([1], "received list, without 'params'"),
        (None, "without 'params'"),
        ({"params": np.ones(3)}, "params is float64; allowed"),
        ({"params": {"fc": {"kernel": 1.0}}}, "params/fc/kernel is float"),
        ({"params": {"fc": {"kernel": np.ones((2, 2), np.int32)}}}, "params/fc/kernel is int32"),
        # Two collections with a leaf of one name, and two names of ours that are one of torch's.
        ({**TREE, "ema": TREE["params"]}, "3 names are those of several arrays, first '"),
        ({"params": {"a": {"scale": np.ones(2), "kernel": np.ones((2, 2))}}}, "first 'a.weight'"),
    ],
)
def test_what_would_lose_a_tensor_is_refused(tmp_path, tree, words):
    with pytest.raises(BadArgument, match=words):
        save_weights(tree, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
