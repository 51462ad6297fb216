"""The convolution layer."""

from collections.abc import Callable
from typing import Any

import flax.linen

from cnnjax import ops

__all__ = ["Conv"]


class Conv(flax.linen.Conv):
    """A drop-in for `flax.linen.Conv` that is fast on a CPU, forwards and backwards.

    Fields, parameter names and shapes (`kernel` `[kh, kw, C / groups, features]`, `bias`
    `[features]`), initial values and results are those of `flax.linen.Conv`, with one
    difference: an integer `kernel_size` means a square (`flax.linen.Conv` takes it for one
    spatial dimension). In two spatial dimensions it computes `cnnjax.ops.conv2d`; in one or
    three, with a tuple `kernel_size`, the stock convolution.

    >>> Conv(16, 3, strides=2, use_bias=False).kernel_size
    (3, 3)
    """

    conv_general_dilated: Callable[..., Any] | None = ops.conv_general_dilated

    def __post_init__(self) -> None:
        """Make an integer kernel size a square."""
        if isinstance(self.kernel_size, int):
            self.kernel_size = (self.kernel_size, self.kernel_size)
        super().__post_init__()
