"""TResNet: a residual network arranged for the throughput of GPUs.

Ridnik et al. 2021 (arXiv:2003.13630): pixels moved to channels for a stem, blurred subsampling,
squeeze-excite in the first three stages, basic blocks in the first two. As timm.models.tresnet
defines it: the last norm of a block starts at zero.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.errors import BadArgument
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    SqueezeExcite,
    averaged,
    classify,
    drop_path,
    drop_path_rates,
    kaiming_normal,
    leaky_relu,
    relu,
    run,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "TResNet", "TResNetBasic", "TResNetBottleneck"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_last_norm = partial(_norm, scale_init=nn.initializers.zeros_init())
_act = partial(leaky_relu, slope=1e-3)


def _shortcut(x: Array, features: int, strides: int, *, dtype: DType, train: bool) -> Array:
    """The identity, or a mean and a 1x1 layer where the shape changes."""
    if x.shape[-1] == features and strides == 1:
        return x
    layer = ConvNormAct(features, 1, act=None, dtype=dtype, name=f"downsample.{strides - 1}")
    return layer(averaged(x, strides), train=train)


def _squeeze_excite(squeezed: int, dtype: DType) -> SqueezeExcite:
    return SqueezeExcite(
        max(squeezed, 64),
        kernel_init=kaiming_normal,
        bias_init=uniform_bias,
        dtype=dtype,
        name="se",
    )


class TResNetBasic(nn.Module):
    """Two 3x3 layers, the first blurred where it strides, squeeze-excite and a shortcut."""

    width: int
    strides: int = 1
    squeeze_excite: bool = True
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(ConvNormAct, self.width, 3, dtype=self.dtype)
        y = layer(act=_act, name="conv1")(x, train=train)
        y = ops.blur_pool(y) if self.strides > 1 else y
        y = layer(act=None, norm=_last_norm, name="conv2")(y, train=train)
        if self.squeeze_excite:
            y = _squeeze_excite(self.width // 4, self.dtype)(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        return relu(y + _shortcut(x, self.width, self.strides, dtype=self.dtype, train=train))


class TResNetBottleneck(nn.Module):
    """1x1, 3x3 (blurred where it strides) and 1x1 layers, squeeze-excite after the second."""

    width: int
    strides: int = 1
    squeeze_excite: bool = True
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        layer, outer = partial(ConvNormAct, dtype=self.dtype), 4 * self.width
        y = layer(self.width, 1, act=_act, name="conv1")(x, train=train)
        y = layer(self.width, 3, act=_act, name="conv2")(y, train=train)
        y = ops.blur_pool(y) if self.strides > 1 else y
        if self.squeeze_excite:
            y = _squeeze_excite(self.width // 2, self.dtype)(y, train=train)
        y = layer(outer, 1, act=None, norm=_last_norm, name="conv3")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        return relu(y + _shortcut(x, outer, self.strides, dtype=self.dtype, train=train))


class TResNet(nn.Module):
    """4x4 pixels as channels, a 3x3 layer, four stages of blocks, pooling and a linear layer.

    A stage's blocks have 1, 2, 4, 8 times `width` channels; the last two stages, with `bottleneck`
    all, are of `TResNetBottleneck`. `drop_path_rate` grows linearly from 0 at the first block to
    itself at the last.
    """

    depths: tuple[int, ...]
    width: int = 64
    bottleneck: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" and "stage1" both have stride 4, of which H and W must be multiples.
        """
        check_images(self, images, smallest=20)
        batch, height, width, channels = images.shape
        if height % 4 or width % 4:
            raise BadArgument(
                f"{type(self).__name__}: images are {height}x{width}; height and width must be multiples of 4"
            )
        x = images.reshape(batch, height // 4, 4, width // 4, 4, channels)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // 4, width // 4, 16 * channels)
        stem = ConvNormAct(self.width, 3, act=leaky_relu, dtype=self.dtype, name="body.conv1")
        x = stem(x, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            make: Any = TResNetBottleneck if self.bottleneck or stage > 1 else TResNetBasic
            for index in range(depth):
                block = make(
                    self.width * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    squeeze_excite=stage < 3,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"body.layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "tresnet_m": Network(TResNet, {"depths": (3, 4, 11, 3), "width": 64, "bottleneck": False}),
    "tresnet_l": Network(TResNet, {"depths": (4, 5, 18, 3), "width": 76, "bottleneck": False}),
    "tresnet_xl": Network(TResNet, {"depths": (4, 5, 24, 3), "width": 83, "bottleneck": False}),
    "tresnet_v2_l": Network(TResNet, {"depths": (3, 4, 23, 3), "width": 64, "bottleneck": True}),
}
