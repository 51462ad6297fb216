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


def _scales(base_width: int, scale: int, depth: int = 6, **fields: Any) -> dict[str, Any]:
    return {
        "block": partial(ScaleBottleneck, base_width=base_width, scale=scale, **fields),
        "stem": (32, 32, 64) if fields.get("average") else None,
        "depths": (3, 4, depth, 3),
    }


NETWORKS = {
    "res2net50_26w_4s": Network(ResNetD, _scales(26, 4)),
    "res2net50_26w_6s": Network(ResNetD, _scales(26, 6)),
    "res2net50_26w_8s": Network(ResNetD, _scales(26, 8)),
    "res2net50_48w_2s": Network(ResNetD, _scales(48, 2)),
    "res2net50_14w_8s": Network(ResNetD, _scales(14, 8)),
    "res2net101_26w_4s": Network(ResNetD, _scales(26, 4, depth=23)),
    "res2next50": Network(ResNetD, _scales(4, 4, groups=8)),
    "res2net50d": Network(ResNetD, _scales(26, 4, average=True)),
    "res2net101d": Network(ResNetD, _scales(26, 4, depth=23, average=True)),
}
