"""ResNet-D, ResNet-T and residual networks with channel attention: SE-ResNet, ECA-ResNet.

He et al. 2019, "Bag of Tricks" (arXiv:1812.01187): a stem of three 3x3 convolutions and shortcuts
that average before they project. Hu et al. 2018 (arXiv:1709.01507) and Wang et al. 2020
(arXiv:1910.03151): attention after the last convolution of a block. As timm.models.resnet defines
them: the last norm of a block starts at zero.
"""

from collections.abc import Callable
from functools import partial
from math import log2
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    DropPath,
    SqueezeExcite,
    kaiming_normal,
    relu,
    run,
    sigmoid,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = [
    "NETWORKS",
    "BasicBlockD",
    "BottleneckD",
    "EfficientChannelAttention",
    "ResNetD",
    "project",
]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_last_norm = partial(_norm, scale_init=nn.initializers.zeros_init())


class EfficientChannelAttention(nn.Module):
    """`x * sigmoid(conv1d(mean(x)))`: a convolution along the channels, of 3 to 7 neighbours.

    The kernel size is the odd number next to `(log2(C) + 1) / 2`, rounded down, at least 3.
    """

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        size = max(3, int((log2(x.shape[-1]) + 1) / 2) // 2 * 2 + 1)
        scale = ops.global_avg_pool(x)[:, :, None]
        scale = Conv(
            1,
            (size,),
            padding=size // 2,
            use_bias=False,
            kernel_init=uniform,
            dtype=self.dtype,
            name="conv",
        )(scale)
        return x * sigmoid(scale[:, None, None, :, 0])


def _squeeze_excite(x: Array, dtype: DType) -> Array:
    """Squeeze-excite to a sixteenth of the channels, at least 8."""
    squeezed = max(8, x.shape[-1] // 16)
    return SqueezeExcite(
        squeezed, kernel_init=kaiming_normal, bias_init=uniform_bias, dtype=dtype, name="se"
    )(x)


def _eca(x: Array, dtype: DType) -> Array:
    return EfficientChannelAttention(dtype=dtype, name="se")(x)


def project(
    x: Array, features: int, strides: int, *, average: bool, dtype: DType, train: bool
) -> Array:
    """Return the shortcut: the identity, or a projection where the shape changes.

    With `average` a 2x2 mean takes the stride before a 1x1 convolution; without, the convolution
    itself. To be called in a block's `__call__`, whose submodules it adds.
    """
    if x.shape[-1] == features and strides == 1:
        return x
    if average:
        if strides > 1:
            x = ops.avg_pool(x, 2, strides=2, ceil_mode=True, count_include_pad=False)
        x = _conv(features, (1, 1), dtype=dtype, name="downsample.1")(x)
        return _norm(dtype=dtype, name="downsample.2")(x, train=train)
    x = _conv(features, (1, 1), strides, dtype=dtype, name="downsample.0")(x)
    return _norm(dtype=dtype, name="downsample.1")(x, train=train)


class BasicBlockD(nn.Module):
    """Two 3x3 convolutions, `attention` (called with `x` and `dtype`) if any, and a shortcut."""

    width: int
    strides: int = 1
    average: bool = True
    attention: Callable[..., Array] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(_conv, padding=1, dtype=self.dtype)
        y = conv(self.width, (3, 3), self.strides, name="conv1")(x)
        y = relu(_norm(dtype=self.dtype, name="bn1")(y, train=train))
        y = conv(self.width, (3, 3), name="conv2")(y)
        y = _last_norm(dtype=self.dtype, name="bn2")(y, train=train)
        if self.attention is not None:
            y = self.attention(y, self.dtype)
        y = DropPath(self.drop_path_rate)(y, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, self.width, self.strides))


class BottleneckD(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions, `attention` if any, and a shortcut."""

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    average: bool = True
    attention: Callable[..., Array] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner, outer = self.width * self.base_width // 64 * self.groups, 4 * self.width
        y = relu(norm(name="bn1")(conv(inner, (1, 1), name="conv1")(x), train=train))
        y = conv(
            inner, (3, 3), self.strides, padding=1, feature_group_count=self.groups, name="conv2"
        )(y)
        y = relu(norm(name="bn2")(y, train=train))
        y = conv(outer, (1, 1), name="conv3")(y)
        y = _last_norm(dtype=self.dtype, name="bn3")(y, train=train)
        if self.attention is not None:
            y = self.attention(y, self.dtype)
        y = DropPath(self.drop_path_rate)(y, train=train)
        shortcut = partial(project, average=self.average, dtype=self.dtype, train=train)
        return relu(y + shortcut(x, outer, self.strides))


class ResNetD(nn.Module):
    """A stem, four stages of residual blocks, global average pooling and a linear layer.

    `stem` has the widths of its three 3x3 convolutions; None is one 7x7 of 64 channels. `block` is
    called with `width`, `strides`, `drop_path_rate`, `dtype` and `name`; `depths` counts the blocks
    of each stage. `drop_path_rate` grows linearly from 0 at the first block.
    """

    block: Callable[..., nn.Module]
    depths: tuple[int, ...]
    stem: tuple[int, int, int] | None = (32, 32, 64)
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        if self.stem is None:
            x = conv(64, (7, 7), 2, padding=3, name="conv1")(images)
        else:
            first, second, third = self.stem
            x = conv(first, (3, 3), 2, padding=1, name="conv1.0")(images)
            x = relu(norm(name="conv1.1")(x, train=train))
            x = conv(second, (3, 3), padding=1, name="conv1.3")(x)
            x = relu(norm(name="conv1.4")(x, train=train))
            x = conv(third, (3, 3), padding=1, name="conv1.6")(x)
        x = relu(norm(name="bn1")(x, train=train))
        stages, block_index = {"stem": x}, 0
        x = ops.max_pool(x, 3, strides=2, padding=1)
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                block = self.block(
                    width=64 * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    drop_path_rate=self.drop_path_rate * block_index / (sum(self.depths) - 1),
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = nn.Dense(
            self.num_classes,
            dtype=self.dtype,
            kernel_init=uniform,
            bias_init=uniform_bias(x.shape[-1]),
            name="fc",
        )(x)
        logits = logits.astype(jnp.float32)
        return (logits, stages) if features else logits


def _row(block: Callable[..., nn.Module], stem: tuple[int, int, int] | None, *row: Any) -> Network:
    depths, input_size, parameters, statistics, gmacs, accuracy, weights = row
    return Network(
        ResNetD,
        {"block": block, "stem": stem, "depths": depths},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_DEEP, _TIERED = (32, 32, 64), (24, 32, 64)
_SE_BASIC = partial(BasicBlockD, average=False, attention=_squeeze_excite)
_SE = partial(BottleneckD, average=False, attention=_squeeze_excite)
_SE_D = partial(BottleneckD, attention=_squeeze_excite)
_ECA = partial(BottleneckD, attention=_eca)

# fmt: off
NETWORKS = {
    # block, stem, depths, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, weights
    "resnet18d": _row(BasicBlockD, _DEEP, (2, 2, 2, 2), 224, 11_708_744, 9_728, 2.054, 76.012, "ra4_e3600_r224_in1k"),
    "resnet34d": _row(BasicBlockD, _DEEP, (3, 4, 6, 3), 224, 21_816_904, 17_152, 3.903, 78.44, "ra2_in1k"),
    "resnet26d": _row(BottleneckD, _DEEP, (2, 2, 2, 2), 224, 16_014_408, 30_976, 2.582, 77.422, "bt_in1k"),
    "resnet50d": _row(BottleneckD, _DEEP, (3, 4, 6, 3), 224, 25_576_264, 53_248, 4.329, 81.84, "ra4_e3600_r224_in1k"),
    "resnet101d": _row(BottleneckD, _DEEP, (3, 4, 23, 3), 256, 44_568_392, 105_472, 10.502, 83.02, "ra2_in1k"),
    "resnet152d": _row(BottleneckD, _DEEP, (3, 8, 36, 3), 256, 60_212_040, 151_552, 15.351, 83.684, "ra2_in1k"),
    "resnet200d": _row(BottleneckD, _DEEP, (3, 24, 36, 3), 256, 64_693_064, 176_128, 19.914, 83.976, "ra2_in1k"),
    "seresnet18": _row(_SE_BASIC, None, (2, 2, 2, 2), 224, 11_779_624, 9_600, 1.814, None, None),
    "seresnet34": _row(_SE_BASIC, None, (3, 4, 6, 3), 224, 21_960_416, 17_024, 3.664, None, None),
    "seresnet50": _row(_SE, None, (3, 4, 6, 3), 224, 28_088_024, 53_120, 4.092, 81.288, "ra2_in1k"),
    "seresnet101": _row(_SE, None, (3, 4, 23, 3), 224, 49_326_872, 105_344, 7.806, None, None),
    "seresnet152": _row(_SE, None, (3, 8, 36, 3), 224, 66_821_848, 151_424, 11.52, None, None),
    "seresnext50_32x4d": _row(partial(_SE, groups=32, base_width=4), None, (3, 4, 6, 3), 224, 27_559_896, 68_224, 4.233, 82.186, "racm_in1k"),
    "seresnext101_32x4d": _row(partial(_SE, groups=32, base_width=4), None, (3, 4, 23, 3), 224, 48_955_416, 137_856, 7.975, 80.886, "gluon_in1k"),
    "seresnext101_64x4d": _row(partial(_SE, groups=64, base_width=4), None, (3, 4, 23, 3), 224, 88_232_984, 202_880, 15.465, 80.884, "gluon_in1k"),
    "seresnext101_32x8d": _row(partial(_SE, groups=32, base_width=8), None, (3, 4, 23, 3), 224, 93_569_048, 202_880, 16.419, 84.192, "ah_in1k"),
    "seresnext101d_32x8d": _row(partial(_SE_D, groups=32, base_width=8), _DEEP, (3, 4, 23, 3), 224, 93_588_280, 203_008, 16.658, 84.38, "ah_in1k"),
    "ecaresnet26t": _row(_ECA, _TIERED, (2, 2, 2, 2), 256, 16_011_916, 30_960, 3.33, 79.9, "ra2_in1k"),
    "ecaresnet50t": _row(_ECA, _TIERED, (3, 4, 6, 3), 256, 25_573_814, 53_232, 5.612, 82.37, "ra2_in1k"),
    "ecaresnet50d": _row(_ECA, _DEEP, (3, 4, 6, 3), 224, 25_576_350, 53_248, 4.329, 81.648, "miil_in1k"),
    "ecaresnet101d": _row(_ECA, _DEEP, (3, 4, 23, 3), 224, 44_568_563, 105_472, 8.041, 83.006, "miil_in1k"),
}
# fmt: on
