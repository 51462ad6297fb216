"""SKNet: residual networks whose blocks choose between two receptive fields, channel by channel.

Li et al. 2019 (arXiv:1903.06586), as timm.models.sknet defines it: the larger field is a dilated
3x3, and each of the two paths sees one half of the channels but for `skresnext50_32x4d`.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network
from cnnjax.models.resnet_d import ResNetD
from cnnjax.models.widths import round_width
from cnnjax.nn import BatchNorm, Conv, ConvNormAct, drop_path, kaiming_normal, project, relu
from cnnjax.typing import Array, DType

__all__ = ["NETWORKS", "SelectiveBasic", "SelectiveBottleneck", "SelectiveKernel"]

_conv = partial(Conv, kernel_size=(1, 1), use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class SelectiveKernel(nn.Module):
    """Two 3x3 layers of dilation 1 and 2, mixed per channel by a softmax over the two.

    With `split` each sees one half of the input channels. The weights come from the mean of both,
    through a layer of `width / reduction` channels, in multiples of `divisor`.
    """

    width: int
    strides: int = 1
    groups: int = 1
    split: bool = True
    reduction: int = 16
    divisor: int = 8
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        halves = jnp.split(x, 2, axis=-1) if self.split else [x, x]
        paths = [
            ConvNormAct(
                self.width,
                3,
                self.strides,
                dilation=index + 1,
                padding=index + 1,
                groups=self.groups,
                dtype=self.dtype,
                name=f"paths.{index}",
            )(half, train=train)
            for index, half in enumerate(halves)
        ]
        mean = ops.global_avg_pool(paths[0] + paths[1])[:, None, None, :]
        squeezed = round_width(self.width / self.reduction, self.divisor)
        y = _conv(squeezed, dtype=self.dtype, name="attn.fc_reduce")(mean)
        y = relu(_norm(dtype=self.dtype, name="attn.bn")(y, train=train))
        y = _conv(2 * self.width, dtype=self.dtype, name="attn.fc_select")(y)
        weights = jax.nn.softmax(y.reshape(-1, 1, 1, 2, self.width), axis=3)
        return paths[0] * weights[:, :, :, 0] + paths[1] * weights[:, :, :, 1]


class SelectiveBasic(nn.Module):
    """`SelectiveKernel` (strided) and a 3x3 layer, and a shortcut."""

    width: int
    strides: int = 1
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        y = SelectiveKernel(
            self.width, self.strides, reduction=8, divisor=16, dtype=self.dtype, name="conv1"
        )(x, train=train)
        y = ConvNormAct(self.width, 3, act=None, dtype=self.dtype, name="conv2")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        shortcut = partial(project, average=False, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, self.width, self.strides))


class SelectiveBottleneck(nn.Module):
    """1x1, `SelectiveKernel` (strided, grouped) and 1x1 layers, and a shortcut."""

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    split: bool = True
    divisor: int = 8
    average: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        y = ConvNormAct(inner, 1, dtype=self.dtype, name="conv1")(x, train=train)
        y = SelectiveKernel(
            inner,
            self.strides,
            groups=self.groups,
            split=self.split,
            divisor=self.divisor,
            dtype=self.dtype,
            name="conv2",
        )(y, train=train)
        y = ConvNormAct(outer, 1, act=None, dtype=self.dtype, name="conv3")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, outer, self.strides))


_18: dict[str, Any] = {"block": SelectiveBasic, "stem": None, "depths": (2, 2, 2, 2)}
_34: dict[str, Any] = {"block": SelectiveBasic, "stem": None}
_GROUPED = partial(SelectiveBottleneck, groups=32, base_width=4, split=False, divisor=32)

# fmt: off
NETWORKS = {
    "skresnet18": Network(ResNetD, {"depths": (3, 4, 6, 3), **_18}),
    "skresnet34": Network(ResNetD, {"depths": (3, 4, 6, 3), **_34}),
    "skresnet50": Network(ResNetD, {"depths": (3, 4, 6, 3), "block": SelectiveBottleneck, "stem": None}),
    "skresnet50d": Network(ResNetD, {"depths": (3, 4, 6, 3), "block": partial(SelectiveBottleneck, average=True)}),
    "skresnext50_32x4d": Network(ResNetD, {"depths": (3, 4, 6, 3), "block": _GROUPED, "stem": None}),
}
# fmt: on
