"""Convolution-norm-activation, and how blocks are run."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.nn.activations import relu
from cnnjax.nn.conv import Conv
from cnnjax.nn.initializers import kaiming_normal, zero_bias
from cnnjax.nn.norm import BatchNorm
from cnnjax.typing import Activation, Array, DType

__all__ = ["ConvNormAct", "flatten", "run"]


class ConvNormAct(nn.Module):
    """Convolution, normalization, activation: `act(norm(conv(x)))`.

    `padding` None pads symmetrically by `dilation * (kernel_size - 1) // 2`, as PyTorch networks
    do; "SAME" is TensorFlow's, which differs at stride 2. `norm` is a class or partial called with
    `name` and `dtype`, None for none; `act` None for none. A bias is used where there is no norm,
    unless `use_bias` says otherwise; `bias_init` makes its initializer from the convolution's
    fan-in. `names` are the names of the two submodules.
    """

    features: int
    kernel_size: int | tuple[int, int] = 3
    strides: int = 1
    padding: int | str | None = None
    dilation: int = 1
    groups: int = 1
    norm: Callable[..., nn.Module] | None = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
    act: Activation | None = relu
    use_bias: bool | None = None
    kernel_init: nn.initializers.Initializer = kaiming_normal
    bias_init: Callable[[int], nn.initializers.Initializer] = zero_bias
    names: tuple[str, str] = ("conv", "bn")
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H', W', features]`."""
        size = self.kernel_size
        kernel_size = (size, size) if isinstance(size, int) else size
        padding: Any = self.padding
        if padding is None:
            padding = [(self.dilation * (k - 1) // 2,) * 2 for k in kernel_size]
        elif isinstance(padding, int):
            padding = [(padding, padding)] * 2
        x = Conv(
            self.features,
            kernel_size,
            strides=(self.strides, self.strides),
            padding=padding,
            kernel_dilation=(self.dilation, self.dilation),
            feature_group_count=self.groups,
            use_bias=self.norm is None if self.use_bias is None else self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init(prod(kernel_size) * x.shape[-1] // self.groups),
            dtype=self.dtype,
            name=self.names[0],
        )(x)
        if self.norm is not None:
            x = self.norm(name=self.names[1], dtype=self.dtype)(x, train=train)
        return x if self.act is None else self.act(x)


def flatten(x: Array) -> Array:
    """Map `[B, H, W, C]` to `[B, C * H * W]` in PyTorch's order, so that its weights fit."""
    return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


def run(block: nn.Module, *inputs: Array, train: bool, remat: bool = False) -> Array:
    """Return `block(*inputs, train=train)`; with `remat` the backward pass computes it again."""
    if not remat:
        return block(*inputs, train=train)
    return nn.remat(lambda block, *inputs: block(*inputs, train=train))(block, *inputs)
