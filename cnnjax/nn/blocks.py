"""Modules that many families share: convolution-norm-activation, squeeze-excite, drop-path."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.nn.activations import relu, sigmoid
from cnnjax.nn.conv import Conv
from cnnjax.nn.norm import BatchNorm
from cnnjax.typing import Activation, Array, DType, Key

__all__ = [
    "ConvNormAct",
    "DropPath",
    "SqueezeExcite",
    "drop_path_rates",
    "flatten",
    "kaiming_normal",
    "run",
    "uniform",
    "uniform_bias",
    "widen",
]

_kaiming_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
_uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def kaiming_normal(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from N(0, 2 / fan_out): He et al. 2015, torchvision's choice for most networks."""
    return _kaiming_normal(key, shape, dtype)


def uniform(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw from U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), PyTorch's default for its layers."""
    return _uniform(key, shape, dtype)


def uniform_bias(fan_in: int) -> nn.initializers.Initializer:
    """Return `uniform` for the bias of a layer, whose shape does not tell its fan-in."""
    bound = fan_in**-0.5
    return partial(jax.random.uniform, minval=-bound, maxval=bound)


def _zero_bias(fan_in: int) -> nn.initializers.Initializer:
    del fan_in
    return nn.initializers.zeros_init()


class ConvNormAct(nn.Module):
    """Convolution, normalisation, activation: `act(norm(conv(x)))`.

    `padding` None pads symmetrically by `dilation * (kernel_size - 1) // 2`, as PyTorch networks
    do; "SAME" is TensorFlow's, which differs at stride 2. `norm` is a class or partial called with
    `name` and `dtype`, None for none; `act` None for none. A bias is used where there is no norm,
    unless `use_bias` says otherwise; `bias_init` makes its initialiser from the convolution's
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
    bias_init: Callable[[int], nn.initializers.Initializer] = _zero_bias
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


class SqueezeExcite(nn.Module):
    """Channel attention: `x * gate(W2 act(W1 mean(x)))` (Hu et al. 2018, arXiv:1709.01507).

    `squeezed` is the number of channels between the two 1x1 convolutions, called `names`;
    `bias_init` makes the initialiser of a bias from its layer's fan-in.
    """

    squeezed: int
    act: Activation = relu
    gate: Activation = sigmoid
    names: tuple[str, str] = ("fc1", "fc2")
    kernel_init: nn.initializers.Initializer = uniform
    bias_init: Callable[[int], nn.initializers.Initializer] = _zero_bias
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C]`."""

        def layer(x: Array, features: int, name: str) -> Array:
            return Conv(
                features,
                (1, 1),
                kernel_init=self.kernel_init,
                bias_init=self.bias_init(x.shape[-1]),
                dtype=self.dtype,
                name=name,
            )(x)

        scale = ops.global_avg_pool(x)[:, None, None, :]
        scale = self.act(layer(scale, self.squeezed, self.names[0]))
        return x * self.gate(layer(scale, x.shape[-1], self.names[1]))


class DropPath(nn.Module):
    """Stochastic depth: in training each image's residual is zero with probability `rate`.

    What is kept is divided by `1 - rate`, so that the expectation stays (Huang et al. 2016,
    arXiv:1603.09382). Draws from the stream `dropout`; the identity in evaluation and at rate 0.
    """

    rate: float = 0.0

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, ...]` to the same shape."""
        if not train or self.rate == 0.0:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.rate, shape)
        return jnp.where(kept, x / (1 - self.rate), jnp.zeros((), x.dtype))


def drop_path_rates(rate: float, depths: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """Return the `DropPath` rate of every block, for each stage as many as `depths` has blocks.

    It grows linearly, from 0 at the first block of all to `rate` at the last; of one block it is 0.

    >>> drop_path_rates(0.2, (1, 2))
    ((0.0,), (0.1, 0.2))
    """
    most = max(sum(depths) - 1, 1)
    rates = iter(rate * block / most for block in range(sum(depths)))
    return tuple(tuple(itertools.islice(rates, depth)) for depth in depths)


def flatten(x: Array) -> Array:
    """Map `[B, H, W, C]` to `[B, C * H * W]` in PyTorch's order, so that its weights fit."""
    return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


def widen(x: Array) -> Array:
    """Return `x` in float32, or as it is where its type is wider: what logits are computed in."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def run(block: nn.Module, *inputs: Array, train: bool, remat: bool = False) -> Array:
    """Return `block(*inputs, train=train)`; with `remat` the backward pass computes it again."""
    if not remat:
        return block(*inputs, train=train)
    return nn.remat(lambda block, *inputs: block(*inputs, train=train))(block, *inputs)
