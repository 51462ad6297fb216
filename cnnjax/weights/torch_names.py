"""The correspondence between a variable's path here and its name and layout in a PyTorch file.

Submodules carry the reference's own dotted names, so a path joined by dots is already the torch
name up to its last part; the rules for that last part are in this file.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnjax.errors import BadArgument
from cnnjax.typing import Variables

__all__ = ["from_state_dict", "to_state_dict", "torch_names", "torch_shapes"]

_RENAMED = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
# Ours to torch's, by rank: HWIO to OIHW, 1-D WIO to OIW, [in, out] to [out, in]; several kernels
# HWIO to OIHW each, which torch then keeps as rows of a matrix.
_KERNEL_AXES = {5: (0, 4, 3, 1, 2), 4: (3, 2, 0, 1), 3: (2, 1, 0), 2: (1, 0)}


def torch_names(variables: Variables) -> dict[tuple[str, ...], str]:
    """Map the path of every leaf, collection first, to its name in a torch state dict.

    >>> torch_names({"params": {"layer1.0": {"conv1": {"kernel": 0}}}})
    {('params', 'layer1.0', 'conv1', 'kernel'): 'layer1.0.conv1.weight'}
    """
    return {
        path: ".".join((*path[1:-1], _RENAMED.get(path[-1], path[-1])))
        for path in flatten_dict(variables)
    }


def torch_shapes(variables: Variables) -> dict[str, tuple[int, ...]]:
    """Map the torch name of every leaf to its shape there; leaves need only a `shape`."""
    leaves = flatten_dict(variables)
    return {
        name: _shape_there(path[-1], leaves[path].shape)
        for path, name in torch_names(variables).items()
    }


def to_state_dict(variables: Variables) -> dict[str, np.ndarray]:
    """Return the variables under torch names, in torch layout, contiguous."""
    leaves = flatten_dict(variables)
    return {
        name: np.ascontiguousarray(_to_torch(path[-1], np.asarray(leaves[path])))
        for path, name in torch_names(variables).items()
    }


def from_state_dict(state: Mapping[str, np.ndarray], expected: Variables) -> dict[str, Any]:
    """Return `state` in the structure, layout and dtypes of `expected`.

    Args:
        state: arrays of floating point by torch name; those that `expected` has no leaf for are not
            looked at.
        expected: what `model.init` or its `jax.eval_shape` returns; every one of its leaves is in
            `state` with the shape of `torch_shapes`.

    Raises:
        BadArgument: naming those that are no floating point: quantized, or damaged.
    """
    leaves = flatten_dict(expected)
    others = {
        name: array.dtype
        for name in torch_names(expected).values()
        if not jnp.issubdtype((array := np.asarray(state[name])).dtype, jnp.floating)
    }
    if others:
        shown = ", ".join(f"{name} is {dtype}" for name, dtype in list(others.items())[:8])
        raise BadArgument(f"weights: {shown}; allowed: floating point (not quantized weights)")
    return unflatten_dict(
        {
            # A copy: tensors of a file may share memory, and training donates its variables.
            path: jnp.array(
                _from_torch(path[-1], state[name], leaves[path].shape), leaves[path].dtype
            )
            for path, name in torch_names(expected).items()
        }
    )


def _to_torch(leaf: str, array: np.ndarray) -> np.ndarray:
    there = _shape_there(leaf, array.shape)
    if leaf == "kernel":
        array = array.transpose(_KERNEL_AXES[array.ndim])
    return array.reshape(there)


def _from_torch(leaf: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if leaf == "kernel":
        axes = _KERNEL_AXES[len(shape)]
        return array.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))
    return array.reshape(shape)


def _shape_there(leaf: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if leaf == "kernel":
        there = tuple(shape[axis] for axis in _KERNEL_AXES[len(shape)])
        return there if len(there) < 5 else (there[0], prod(there[1:]))
    return tuple(shape)
