"""The end of a network: pooling, dropout, a linear layer, logits in float32."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn.conv import Conv
from cnnjax.nn.initializers import zero_bias
from cnnjax.typing import Array, DType

__all__ = ["classify", "widen"]

_lecun_normal = nn.initializers.lecun_normal()


def classify(
    x: Array,
    num_classes: int,
    *,
    train: bool,
    name: str,
    dtype: DType,
    dropout_rate: float = 0.0,
    kernel_init: nn.initializers.Initializer = _lecun_normal,
    bias_init: Callable[[int], nn.initializers.Initializer] = zero_bias,
    pointwise: bool = False,
) -> tuple[Array, Array]:
    """Return logits, and what they are linear in: `logits = pre_logits @ kernel + bias`.

    To be called in a network's `__call__`, whose submodule `name` it adds.

    Args:
        x: `[B, H, W, C]`, of which the mean over positions is taken, or `[B, C]`.
        num_classes: the width of the linear layer.
        train: whether `dropout_rate` of the linear layer's inputs are zero.
        name: of the linear layer.
        dtype: what it computes in.
        dropout_rate: in [0, 1); what is kept is divided by `1 - dropout_rate`.
        kernel_init: the kernel's initializer.
        bias_init: makes the bias's from C, the layer's fan-in.
        pointwise: the layer is a 1x1 convolution, as its publisher's, whose kernel has four axes.

    Returns:
        `[B, num_classes]` in float32, or wider where `x` is; `[B, C]`, before dropout.
    """
    pre_logits = ops.global_avg_pool(x) if x.ndim == 4 else x
    x = nn.Dropout(dropout_rate, deterministic=not train)(pre_logits)
    fields = {"kernel_init": kernel_init, "bias_init": bias_init(x.shape[-1]), "dtype": dtype}
    if pointwise:
        logits = Conv(num_classes, (1, 1), **fields, name=name)(x[:, None, None, :])[:, 0, 0, :]
    else:
        logits = nn.Dense(num_classes, **fields, name=name)(x)
    return widen(logits), pre_logits


def widen(x: Array) -> Array:
    """Return `x` in float32, or as it is where its type is wider: what logits are computed in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
