"""Parallel branches of training that a deployed network has as one convolution."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import BadArgument
from cnnjax.typing import Array, Variables

__all__ = ["affine", "fuse", "join", "join_branches"]

# A kernel, the parameters and the running statistics of the norm behind it.
Branch = tuple[Array | None, Mapping[str, Array], Mapping[str, Array]]


def fuse(model: nn.Module, variables: Variables) -> tuple[nn.Module, Variables]:
    """Return the deployed form of a network with parallel branches, and its variables.

    It computes what `model` computes in evaluation mode, with one convolution in place of each sum
    of branches (Ding et al. 2021, RepVGG, arXiv:2101.03697).

    Args:
        model: a module with a field `deployed`, False, and a method `fused(variables)`: one of the
            families that have both, or of one's own.
        variables: "params" and "batch_stats" of `model`.

    Returns:
        `model` with `deployed` True, and the variables that it takes: "batch_stats" are left out
        where no norm is left.

    Raises:
        BadArgument: a model without such a form, or one that is deployed.
    """
    name = type(model).__name__
    if not hasattr(model, "deployed") or not hasattr(model, "fused"):
        raise BadArgument(
            f"fuse: model is a {name}; it must have parallel branches (a field `deployed` and a "
            "method `fused`), as RepVGG has"
        )
    if model.deployed:
        raise BadArgument(f"fuse: model is a {name} that is deployed; it must not be")
    return model.clone(deployed=True), model.fused(variables)


def join_branches(variables: Variables, place: Callable[[str], str | None]) -> dict[str, Any]:
    """Return `variables` with one convolution in place of the branches of each sum.

    Args:
        variables: "params" and "batch_stats" of a network whose blocks are its direct submodules.
        place: from the name of a block's part to that of the convolution whose branch it is a part
            of, None for a part that stays.

    Returns:
        "params", and "batch_stats" where a norm is left.
    """
    params: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    for name, block in variables["params"].items():
        running = variables["batch_stats"].get(name, {})
        sums: dict[str, list[str]] = defaultdict(list)
        for part in sorted(block):
            if (at := place(part)) is not None:
                sums[at].append(part)
        gone = {part for parts in sums.values() for part in parts}
        params[name] = {part: value for part, value in block.items() if part not in gone}
        for at, parts in sums.items():
            params[name][at] = join(_branches(block, running, parts))
        if left := {part: value for part, value in running.items() if part not in gone}:
            statistics[name] = left
    return {"params": params, "batch_stats": statistics} if statistics else {"params": params}


def _branches(block: Any, running: Any, parts: Sequence[str]) -> list[Branch]:
    """Return the branches of one sum: a norm has the kernel before it, or is of the identity."""
    branches: list[Branch] = []
    kernel = None
    for part in parts:
        values = block[part]
        if "kernel" in values:
            kernel = values["kernel"]
        elif "scale" in values:
            branches.append((kernel, values, running[part]))
            kernel = None
        else:
            (norm,) = running[part]
            branches.append((values["conv"]["kernel"], values[norm], running[part][norm]))
    return branches


def affine(
    norm: Mapping[str, Array], running: Mapping[str, Array], epsilon: float = 1e-5
) -> tuple[Array, Array]:
    """Return factor and shift `[C]` of a BatchNorm in evaluation: `factor * x + shift`.

    `factor = scale / sqrt(var + epsilon)`, `shift = bias - mean * factor`.
    """
    factor = norm["scale"] / jnp.sqrt(running["var"] + epsilon)
    return factor, norm["bias"] - running["mean"] * factor


def join(branches: Sequence[Branch], epsilon: float = 1e-5) -> dict[str, Array]:
    """Return kernel and bias of the one convolution that is the sum of `branches`.

    Every branch `norm(conv(x))` is a convolution of kernel `factor * kernel` and bias `shift`; 1x1
    kernels and the identity are padded to the size of the largest, and all are added.

    Args:
        branches: of each a kernel `[kh, kw, C / groups, features]`, None for the identity, and the
            parameters and running statistics of the norm behind it.
        epsilon: that of the norms.

    Returns:
        `kernel` `[k, k, C / groups, features]` and `bias` `[features]`.
    """
    kernels = [kernel for kernel, *_ in branches if kernel is not None]
    size = max(kernel.shape[0] for kernel in kernels)
    _, _, group, width = kernels[0].shape
    # Output c copies input c, which is number c mod `group` of its group.
    copy = jnp.eye(group)[None, None, :, jnp.arange(width) % group]
    total, bias = jnp.zeros((size, size, group, width)), jnp.zeros(width)
    for kernel, norm, running in branches:
        kernel = copy if kernel is None else kernel
        factor, shift = affine(norm, running, epsilon)
        edge = (size - kernel.shape[0]) // 2
        kernel = jnp.pad(kernel, [(edge, edge), (edge, edge), (0, 0), (0, 0)])
        total = total + kernel * factor.reshape(1, 1, 1, width)
        bias = bias + shift
    return {"kernel": total, "bias": bias}
