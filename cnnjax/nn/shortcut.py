"""Shortcuts of residual blocks: their projections, and branches that training drops."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial

from flax import linen as nn

from cnnjax import ops
from cnnjax.nn.conv import Conv
from cnnjax.nn.initializers import kaiming_normal
from cnnjax.nn.norm import BatchNorm
from cnnjax.typing import Array, DType

__all__ = ["averaged", "drop_path", "drop_path_rates", "project"]


def drop_path(x: Array, rate: float, *, train: bool) -> Array:
    """Stochastic depth: in training each image's residual is zero with probability `rate`.

    What is kept is divided by `1 - rate`, so that the expectation stays (Huang et al. 2016,
    arXiv:1603.09382). Draws from the stream `dropout`; the identity in evaluation and at rate 0.
    To be called in a module's `__call__`.

    Args:
        x: `[B, ...]`, the branch.
        rate: in [0, 1].
        train: whether to drop.

    Returns:
        An array like `x`.
    """
    rest = tuple(range(1, x.ndim))
    return nn.Dropout(rate, broadcast_dims=rest, deterministic=not train)(x)


def drop_path_rates(rate: float, depths: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """Return the `drop_path` rate of every block, for each stage as many as `depths` has blocks.

    It grows linearly, from 0 at the first block of all to `rate` at the last; of one block it is 0.

    >>> drop_path_rates(0.2, (1, 2))
    ((0.0,), (0.1, 0.2))
    """
    most = max(sum(depths) - 1, 1)
    rates = iter(rate * block / most for block in range(sum(depths)))
    return tuple(tuple(itertools.islice(rates, depth)) for depth in depths)


def averaged(x: Array, strides: int) -> Array:
    """Return the means of 2x2 that take a shortcut's stride of 2, or `x` where it has none.

    He et al. 2019 (arXiv:1812.01187). `[B, H, W, C]` to `[B, ceil(H / strides), ..., C]`: at an odd
    edge the means are of what there is.
    """
    if strides == 1:
        return x
    return ops.avg_pool(x, 2, strides=2, ceil_mode=True, count_include_pad=False)


def project(
    x: Array,
    features: int,
    strides: int,
    *,
    average: bool,
    dtype: DType,
    train: bool,
    kernel_size: int = 1,
    norm: Callable[..., nn.Module] = BatchNorm,
) -> Array:
    """Return the shortcut: the identity, or a projection where the shape changes.

    With `average` a 1x1 convolution of the input, `averaged`; without, a convolution that strides
    itself, of `kernel_size` where it does.
    To be called in a block's `__call__`, whose submodules "downsample.0", "downsample.1" and
    "downsample.2" it adds, numbered as PyTorch numbers mean, convolution and norm.

    Args:
        x: `[B, H, W, C]`, the input of the block.
        features: the channels of its output.
        strides: by how much the block subsamples.
        average: whether a mean does so.
        dtype: what it computes in.
        train: passed on to the norm.
        kernel_size: of a strided convolution without `average`.
        norm: a class or partial called with `name` and `dtype`.

    Returns:
        `[B, H / strides, W / strides, features]`.
    """
    if x.shape[-1] == features and strides == 1:
        return x
    conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal, dtype=dtype)
    if average:
        x = conv(features, (1, 1), name="downsample.1")(averaged(x, strides))
        return norm(dtype=dtype, name="downsample.2")(x, train=train)
    size = kernel_size if strides > 1 else 1
    x = conv(features, size, strides, padding=size // 2, name="downsample.0")(x)
    return norm(dtype=dtype, name="downsample.1")(x, train=train)
