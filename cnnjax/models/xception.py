"""Xception: residual blocks of depthwise separable convolutions.

Chollet 2017 (arXiv:1610.02357), as timm.models.xception defines legacy_xception.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "Xception", "XceptionBlock"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


def _separable(x: Array, width: int, *, dtype: DType, name: str) -> Array:
    """A depthwise 3x3 convolution and a 1x1."""
    conv = partial(_conv, dtype=dtype)
    channels = x.shape[-1]
    x = conv(channels, (3, 3), padding=1, feature_group_count=channels, name=f"{name}.conv1")(x)
    return conv(width, (1, 1), name=f"{name}.pointwise")(x)


class XceptionBlock(nn.Module):
    """Separable layers to `widths`, a ReLU before each, and a shortcut.

    With `strides` 2 a 3x3 max pool ends the block. `first_relu` says whether a ReLU comes before
    the first layer.
    """

    widths: tuple[int, ...]
    strides: int = 1
    first_relu: bool = True
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, widths[-1]]`."""
        norm = partial(_norm, dtype=self.dtype)
        y = x
        for index, width in enumerate(self.widths):
            # The reference counts the ReLUs in its names.
            at = 3 * index + (1 if self.first_relu else 0)
            if index > 0 or self.first_relu:
                y = relu(y)
            y = _separable(y, width, dtype=self.dtype, name=f"rep.{at}")
            y = norm(name=f"rep.{at + 1}")(y, train=train)
        if self.strides > 1:
            y = ops.max_pool(y, 3, strides=self.strides, padding=1)
        if x.shape != y.shape:
            x = _conv(self.widths[-1], (1, 1), self.strides, dtype=self.dtype, name="skip")(x)
            x = norm(name="skipbn")(x, train=train)
        return x + y


class Xception(nn.Module):
    """Two 3x3 layers, twelve blocks of which four stride, two separable layers, pooling, linear."""

    num_classes: int = 1000
    middle: int = 8
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        `middle` counts the blocks of stride 1.
        """
        check_images(self, images, smallest=7)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(32, (3, 3), 2, padding=0, name="conv1")(images)
        x = relu(norm(name="bn1")(x, train=train))
        x = conv(64, (3, 3), padding=0, name="conv2")(x)
        x = relu(norm(name="bn2")(x, train=train))
        stages = {"stem": x}
        rows = [(128, 128), (256, 256), (728, 728), *[(728, 728, 728)] * self.middle, (728, 1024)]
        for index, widths in enumerate(rows, start=1):
            block = XceptionBlock(
                widths,
                strides=2 if len(widths) == 2 else 1,
                first_relu=index > 1,
                dtype=self.dtype,
                name=f"block{index}",
            )
            x = run(block, x, train=train, remat=self.remat)
            if index <= 2:
                stages[f"stage{index}"] = x
            elif index == len(rows) - 1:
                stages["stage3"] = x
        x = _separable(x, 1536, dtype=self.dtype, name="conv3")
        x = relu(norm(name="bn3")(x, train=train))
        x = _separable(x, 2048, dtype=self.dtype, name="conv4")
        x = relu(norm(name="bn4")(x, train=train))
        stages["stage4"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "legacy_xception": Network(Xception),
}
