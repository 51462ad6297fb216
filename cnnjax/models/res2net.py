"""Res2Net: residual networks whose 3x3 convolution is a hierarchy of smaller ones.

Gao et al. 2019 (arXiv:1904.01169), as timm.models.res2net defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network
from cnnjax.models.resnet_d import ResNetD
from cnnjax.nn import BatchNorm, Conv, drop_path, kaiming_normal, project, relu
from cnnjax.typing import Array, DType

__all__ = ["NETWORKS", "ScaleBottleneck", "hierarchy"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


def hierarchy(
    x: Array, scale: int, strides: int, *, groups: int, apart: bool, dtype: DType, train: bool
) -> Array:
    """Return `scale` slices of the channels, all but the last through a 3x3 layer, side by side.

    Each slice is added to the output of the one before it, unless they are `apart`; then the last
    is averaged. To be called in a block's `__call__`, whose submodules it adds.
    """
    *slices, last = jnp.split(x, scale, axis=-1)
    outputs: list[Array] = []
    for index, piece in enumerate(slices):
        if outputs and not apart:
            piece = piece + outputs[-1]
        piece = _conv(
            piece.shape[-1],
            (3, 3),
            strides,
            padding=1,
            feature_group_count=groups,
            dtype=dtype,
            name=f"convs.{index}",
        )(piece)
        outputs.append(relu(_norm(dtype=dtype, name=f"bns.{index}")(piece, train=train)))
    if apart:
        last = ops.avg_pool(last, 3, strides=strides, padding=1)
    return jnp.concatenate([*outputs, last], axis=-1)


class ScaleBottleneck(nn.Module):
    """1x1 and 1x1 layers with a `hierarchy` between, its slices apart where the shape changes."""

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 26
    scale: int = 4
    average: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        changes = self.strides > 1 or x.shape[-1] != outer
        y = conv(inner * self.scale, (1, 1), name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = hierarchy(
            y,
            self.scale,
            self.strides,
            groups=self.groups,
            apart=changes,
            dtype=self.dtype,
            train=train,
        )
        y = conv(outer, (1, 1), name="conv3")(y)
        y = norm(scale_init=nn.initializers.zeros_init(), name="bn3")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, outer, self.strides))


def _row(base_width: int, scale: int, *row: Any, depth: int = 6, **fields: Any) -> Network:
    parameters, statistics, gmacs, accuracy = row
    stem = (32, 32, 64) if fields.get("average") else None
    return Network(
        ResNetD,
        {
            "block": partial(ScaleBottleneck, base_width=base_width, scale=scale, **fields),
            "stem": stem,
            "depths": (3, 4, depth, 3),
        },
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        reference="timm",
        accuracy=accuracy,
        weights="in1k",
    )


NETWORKS = {
    # base width, scale, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1
    "res2net50_26w_4s": _row(26, 4, 25_699_120, 59_492, 4.255, 77.994),
    "res2net50_26w_6s": _row(26, 6, 37_051_448, 71_764, 6.296, 78.586),
    "res2net50_26w_8s": _row(26, 8, 48_403_776, 84_036, 8.336, 78.95),
    "res2net50_48w_2s": _row(48, 2, 25_287_304, 55_008, 4.16, 77.528),
    "res2net50_14w_8s": _row(14, 8, 25_059_816, 62_796, 4.179, 78.142),
    "res2net101_26w_4s": _row(26, 4, 45_206_688, 119_060, 8.067, 79.192, depth=23),
    "res2next50": _row(4, 4, 24_671_464, 64_448, 4.173, 78.238, groups=8),
    "res2net50d": _row(26, 4, 25_718_352, 59_620, 4.495, 80.28, average=True),
    "res2net101d": _row(26, 4, 45_225_920, 119_188, 8.307, 81.236, depth=23, average=True),
}
