"""Names and layouts of PyTorch: every kind of leaf against what the layers there have."""

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.weights.torch_names import from_state_dict, to_state_dict, torch_names, torch_shapes


def numbers(*shape):
    return np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)


# Path here, array here, name there, and the array there, element by element.
KERNEL = numbers(2, 3, 4, 5)  # H W I O
LEAVES = {
    "a convolution": (
        ("params", "layer1.0", "conv1", "kernel"),
        KERNEL,
        "layer1.0.conv1.weight",
        np.einsum("hwio->oihw", KERNEL),
    ),
    "of one dimension": (
        ("params", "conv", "kernel"),
        numbers(3, 4, 5),
        "conv.weight",
        np.einsum("wio->oiw", numbers(3, 4, 5)),
    ),
    "a linear layer": (("params", "fc", "kernel"), numbers(3, 4), "fc.weight", numbers(3, 4).T),
    "several kernels": (
        ("params", "conv", "kernel"),
        numbers(2, 3, 3, 4, 5),
        "conv.weight",
        np.einsum("nhwio->noihw", numbers(2, 3, 3, 4, 5)).reshape(2, -1),
    ),
    "a bias": (("params", "fc", "bias"), numbers(7), "fc.bias", numbers(7)),
    "a norm's scale": (("params", "bn1", "scale"), numbers(7), "bn1.weight", numbers(7)),
    "a mean": (("batch_stats", "bn1", "mean"), numbers(7), "bn1.running_mean", numbers(7)),
    "a variance": (("batch_stats", "bn1", "var"), numbers(7), "bn1.running_var", numbers(7)),
    "a parameter at the top": (("params", "gamma"), numbers(2, 2), "gamma", numbers(2, 2)),
}


def tree(path, array):
    for part in reversed(path):
        array = {part: array}
    return array


@pytest.mark.parametrize("name", LEAVES)
def test_every_leaf_there_and_back(name):
    path, here, there_name, there = LEAVES[name]
    variables = tree(path, here)
    assert torch_names(variables) == {path: there_name}
    assert torch_shapes(variables) == {there_name: there.shape}
    (found,) = to_state_dict(variables).values()
    np.testing.assert_array_equal(found, there, strict=True)
    assert found.flags.c_contiguous
    back = from_state_dict({there_name: there, "another": np.zeros(1, int)}, variables)
    for part in path:
        back = back[part]
    np.testing.assert_array_equal(back, here, strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_floating_point_becomes_what_is_expected(dtype):
    expected = {"params": {"fc": {"bias": jnp.zeros(3, jnp.bfloat16)}}}
    loaded = from_state_dict({"fc.bias": np.array([0.5, 2, -3], dtype)}, expected)
    assert loaded["params"]["fc"]["bias"].dtype == jnp.bfloat16
    assert loaded["params"]["fc"]["bias"].tolist() == [0.5, 2, -3]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.bool_, np.complex64])
def test_other_numbers_are_refused_by_name(dtype):
    expected = {"params": {"fc": {"bias": jnp.zeros(3), "kernel": jnp.zeros((2, 3))}}}
    state = {"fc.bias": np.ones(3, dtype), "fc.weight": np.ones((3, 2), np.float32)}
    with pytest.raises(BadArgument, match=rf"^weights: fc\.bias is {np.dtype(dtype)}; allowed"):
        from_state_dict(state, expected)


def test_loaded_variables_share_no_memory():
    storage = np.ones(3, np.float32)
    expected = {"params": {"a": {"bias": jnp.zeros(3)}, "b": {"bias": jnp.zeros(3)}}}
    loaded = from_state_dict({"a.bias": storage, "b.bias": storage[:]}, expected)["params"]
    storage[:] = 7
    places = {loaded[name]["bias"].unsafe_buffer_pointer() for name in ("a", "b")}
    assert len(places) == 2
    assert loaded["a"]["bias"].tolist() == loaded["b"]["bias"].tolist() == [1, 1, 1]
