"""Modified Aligned Xception: Xception whose pools are strided layers, deeper and with more norms.

Chollet 2017 (arXiv:1610.02357), modified in Chen et al. 2018 (DeepLabv3+, arXiv:1802.02611), as
timm.models.xception_aligned defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    classify,
    drop_path,
    drop_path_rates,
    relu,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "AlignedBlock", "PreActivationAlignedBlock", "XceptionAligned"]

# Kernels start as PyTorch's default.
_conv = partial(Conv, use_bias=False, kernel_init=uniform)


def _norm(x: Array, *, train: bool, epsilon: float, dtype: DType, name: str) -> Array:
    norm = BatchNorm(momentum=0.9, epsilon=epsilon, dtype=dtype, name=name)
    return norm(x, train=train)


class AlignedBlock(nn.Module):
    """Three separable layers, a norm after each of their convolutions, and a shortcut.

    A ReLU comes before each layer; with `last` after each convolution instead, and the block has no
    shortcut. The third layer strides.
    """

    widths: tuple[int, int, int]
    strides: int = 1
    last: bool = False
    epsilon: float = 1e-3
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, widths[-1]]`."""
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_norm, train=train, epsilon=self.epsilon, dtype=self.dtype)
        y = x
        for index, width in enumerate(self.widths, start=1):
            name, strides = f"stack.conv{index}", self.strides if index == 3 else 1
            y = _depthwise(y if self.last else relu(y), strides, self.dtype, f"{name}.conv_dw")
            y = norm(y, name=f"{name}.bn_dw")
            y = conv(width, (1, 1), name=f"{name}.conv_pw")(relu(y) if self.last else y)
            y = norm(y, name=f"{name}.bn_pw")
            if self.last:
                y = relu(y)
        if self.last:
            return y
        if x.shape != y.shape:
            x = conv(self.widths[-1], (1, 1), self.strides, name="shortcut.conv")(x)
            x = norm(x, name="shortcut.bn")
        return x + drop_path(y, self.drop_path_rate, train=train)


class PreActivationAlignedBlock(nn.Module):
    """A norm and a ReLU before each of three separable layers, and a shortcut from the first ReLU.

    With `last` there is no shortcut. The third layer strides.
    """

    widths: tuple[int, int, int]
    strides: int = 1
    last: bool = False
    epsilon: float = 1e-3
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, widths[-1]]`."""
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_norm, train=train, epsilon=self.epsilon, dtype=self.dtype)
        y = x
        for index, width in enumerate(self.widths, start=1):
            name, strides = f"stack.conv{index}", self.strides if index == 3 else 1
            y = relu(norm(y, name="norm" if index == 1 else f"{name}.norm"))
            if index == 1:
                x = y
            y = _depthwise(y, strides, self.dtype, f"{name}.conv_dw")
            y = conv(width, (1, 1), name=f"{name}.conv_pw")(y)
        if self.last:
            return y
        if x.shape != y.shape:
            x = conv(self.widths[-1], (1, 1), self.strides, name="shortcut")(x)
        return x + drop_path(y, self.drop_path_rate, train=train)


def _depthwise(x: Array, strides: int, dtype: DType, name: str) -> Array:
    channels = x.shape[-1]
    conv = partial(_conv, padding=1, feature_group_count=channels, dtype=dtype, name=name)
    return conv(channels, (3, 3), strides)(x)


class XceptionAligned(nn.Module):
    """Two 3x3 layers, blocks of separable layers, global average pooling and a linear layer.

    `entry` has the width and stride of each block before `middle` blocks of stride 1; two more
    follow. With `preact` the blocks are `PreActivationAlignedBlock`. `epsilon` is that of the norms,
    TensorFlow's but for one network. `drop_path_rate` grows linearly from 0 at the first block.
    """

    entry: tuple[tuple[int, int], ...] = ((128, 2), (256, 2), (728, 2))
    middle: int = 8
    preact: bool = False
    epsilon: float = 1e-3
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

        A stage ends before the block that strides next.
        """
        check_images(self, images)
        conv = partial(_conv, kernel_size=(3, 3), padding=1, dtype=self.dtype)
        norm = partial(_norm, train=train, epsilon=self.epsilon, dtype=self.dtype)
        x = conv(32, strides=2, name="stem.0.conv")(images)
        x = relu(norm(x, name="stem.0.bn"))
        if self.preact:
            x = conv(64, name="stem.1")(x)
        else:
            x = relu(norm(conv(64, name="stem.1.conv")(x), name="stem.1.bn"))
        stages = {"stem": x}
        make: Any = PreActivationAlignedBlock if self.preact else AlignedBlock
        rows = [((width,) * 3, strides) for width, strides in self.entry]
        rows += [((728, 728, 728), 1)] * self.middle
        rows += [((728, 1024, 1024), 2), ((1536, 1536, 2048), 1)]
        (rates,) = drop_path_rates(self.drop_path_rate, (len(rows),))
        for index, (widths, strides) in enumerate(rows):
            if strides > 1 and index > 0:
                stages[f"stage{len(stages)}"] = x
            block = make(
                widths,
                strides,
                last=index == len(rows) - 1,
                epsilon=self.epsilon,
                drop_path_rate=rates[index],
                dtype=self.dtype,
                name=f"blocks.{index}",
            )
            x = run(block, x, train=train, remat=self.remat)
        if self.preact:
            x = relu(x)
        stages[f"stage{len(stages)}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


_71 = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))

NETWORKS = {
    "xception41": Network(XceptionAligned),
    "xception65": Network(XceptionAligned, {"middle": 16}),
    "xception71": Network(XceptionAligned, {"entry": _71, "middle": 16}),
    "xception41p": Network(XceptionAligned, {"preact": True, "epsilon": 1e-5}),
    "xception65p": Network(XceptionAligned, {"middle": 16, "preact": True}),
}
