"""DarkNet: the backbone of YOLOv3, residual blocks of a 1x1 and a 3x3 layer.

Redmon and Farhadi 2018 (arXiv:1804.02767), as timm.models.cspnet defines it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.cspnet import CspNet, DarkBlock, Stem, run_blocks
from cnnjax.models.network import Network
from cnnjax.nn import ConvNormAct, leaky_relu
from cnnjax.typing import Activation, Array, DType

__all__ = ["NETWORKS", "DarkStage"]


class DarkStage(nn.Module):
    """A strided 3x3 layer, or with `average` a mean and a 1x1 layer, then blocks.

    `run_blocks` runs the blocks.
    """

    block: Callable[..., nn.Module]
    width: int
    rates: tuple[float, ...]
    strides: int = 2
    average: bool = False
    act: Activation = leaky_relu
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(ConvNormAct, act=self.act, dtype=self.dtype)
        if self.average:
            x = ops.avg_pool(x, self.strides)
            x = layer(self.width, 1, name="conv_down.1")(x, train=train)
        else:
            x = layer(self.width, 3, self.strides, name="conv_down")(x, train=train)
        return run_blocks(self, x, train=train)


def _darknet(
    depths: tuple[int, ...], *, squeeze: float | None = None, average: bool = False
) -> dict[str, Any]:
    stage = partial(DarkStage, partial(DarkBlock, ratio=0.5, squeeze=squeeze), average=average)
    return {
        "stages": tuple(partial(stage, width=width) for width in (64, 128, 256, 512, 1024)),
        "depths": depths,
        "stem": Stem((32,), strides=1),
    }


NETWORKS = {
    "darknet17": Network(CspNet, _darknet((1, 1, 1, 1, 1))),
    "darknet21": Network(CspNet, _darknet((1, 1, 1, 2, 2))),
    "sedarknet21": Network(CspNet, _darknet((1, 1, 1, 2, 2), squeeze=1 / 16)),
    "darknet53": Network(CspNet, _darknet((1, 2, 8, 8, 4))),
    "darknetaa53": Network(CspNet, _darknet((1, 2, 8, 8, 4), average=True)),
}
