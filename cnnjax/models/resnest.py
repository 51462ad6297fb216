"""ResNeSt: residual networks with split attention.

Zhang et al. 2020 (arXiv:2004.08955), as timm.models.resnest defines it.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network
from cnnjax.models.resnet_d import ResNetD
from cnnjax.nn import BatchNorm, Conv, drop_path, kaiming_normal, project, relu, uniform_bias
from cnnjax.typing import Array, DType

__all__ = ["NETWORKS", "SplitAttention", "SplitBottleneck"]

_conv = partial(Conv, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class SplitAttention(nn.Module):
    """A 3x3 layer to `radix` splits of `width` channels, mixed by a softmax over the splits.

    With one split the weight is a sigmoid. The weights come from the mean of the sum of the splits,
    through a layer of a quarter of all split channels, at least 32, `groups` apart.
    """

    width: int
    radix: int = 2
    groups: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, width]`."""
        width, radix, groups = self.width, self.radix, self.groups
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        squeezed = max(32, x.shape[-1] * radix // 4)
        y = conv(
            width * radix,
            (3, 3),
            padding=1,
            feature_group_count=groups * radix,
            use_bias=False,
            name="conv",
        )(x)
        y = relu(norm(name="bn0")(y, train=train))
        y = y.reshape(*y.shape[:3], radix, width)
        mean = ops.global_avg_pool(y.sum(3))[:, None, None, :]
        one = partial(conv, kernel_size=(1, 1), feature_group_count=groups)
        bias_init = uniform_bias(mean.shape[-1] // groups)
        attention = one(squeezed, bias_init=bias_init, name="fc1")(mean)
        attention = relu(norm(name="bn1")(attention, train=train))
        bias_init = uniform_bias(squeezed // groups)
        attention = one(width * radix, bias_init=bias_init, name="fc2")(attention)
        if radix == 1:
            return y[:, :, :, 0] * jax.nn.sigmoid(attention)
        # Each group of channels holds its own splits: [groups, radix, width / groups].
        attention = attention.reshape(-1, groups, radix, width // groups)
        attention = jax.nn.softmax(attention, axis=2).swapaxes(1, 2)
        return (y * attention.reshape(-1, 1, 1, radix, width)).sum(3)


class SplitBottleneck(nn.Module):
    """1x1, `SplitAttention` and 1x1 layers, and a shortcut.

    The stride is a 3x3 mean after the attention, or before it with `average_first`.
    """

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    radix: int = 2
    average_first: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv = partial(_conv, kernel_size=(1, 1), use_bias=False, dtype=self.dtype)
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        y = conv(inner, name="conv1")(x)
        y = relu(_norm(dtype=self.dtype, name="bn1")(y, train=train))
        if self.strides > 1 and self.average_first:
            y = ops.avg_pool(y, 3, strides=self.strides, padding=1)
        y = SplitAttention(inner, self.radix, self.groups, dtype=self.dtype, name="conv2")(
            y, train=train
        )
        if self.strides > 1 and not self.average_first:
            y = ops.avg_pool(y, 3, strides=self.strides, padding=1)
        y = conv(outer, name="conv3")(y)
        y = _norm(scale_init=nn.initializers.zeros_init(), dtype=self.dtype, name="bn3")(
            y, train=train
        )
        y = drop_path(y, self.drop_path_rate, train=train)
        shortcut = partial(project, average=True, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, outer, self.strides))


_FAST = partial(SplitBottleneck, average_first=True)

# fmt: off
NETWORKS = {
    "resnest14d": Network(ResNetD, {"block": SplitBottleneck, "stem": (32, 32, 64), "depths": (1, 1, 1, 1)}),
    "resnest26d": Network(ResNetD, {"block": SplitBottleneck, "stem": (32, 32, 64), "depths": (2, 2, 2, 2)}),
    "resnest50d": Network(ResNetD, {"block": SplitBottleneck, "stem": (32, 32, 64), "depths": (3, 4, 6, 3)}),
    "resnest101e": Network(ResNetD, {"block": SplitBottleneck, "stem": (64, 64, 128), "depths": (3, 4, 23, 3)}),
    "resnest200e": Network(ResNetD, {"block": SplitBottleneck, "stem": (64, 64, 128), "depths": (3, 24, 36, 3)}),
    "resnest269e": Network(ResNetD, {"block": SplitBottleneck, "stem": (64, 64, 128), "depths": (3, 30, 48, 8)}),
    "resnest50d_4s2x40d": Network(ResNetD, {"block": partial(_FAST, radix=4, groups=2, base_width=40), "stem": (32, 32, 64), "depths": (3, 4, 6, 3)}),
    "resnest50d_1s4x24d": Network(ResNetD, {"block": partial(_FAST, radix=1, groups=4, base_width=24), "stem": (32, 32, 64), "depths": (3, 4, 6, 3)}),
}
# fmt: on
