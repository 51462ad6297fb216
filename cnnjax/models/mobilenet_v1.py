"""MobileNetV1: depthwise separable convolutions.

Howard et al. 2017 (arXiv:1704.04861), as timm.models.efficientnet defines mobilenetv1, with ReLU6.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    classify,
    kaiming_fan_in,
    kaiming_normal,
    relu6,
    run,
    uniform_fan_out,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "MobileNetV1", "Separable"]

_conv = partial(Conv, use_bias=False)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
# The deviation counts one group's outputs: k * k of a depthwise kernel, which is its fan-in.

# (width, blocks) of every group; all but the first start with stride 2
_GROUPS = ((64, 1), (128, 2), (256, 2), (512, 6), (1024, 2))


class Separable(nn.Module):
    """A depthwise 3x3 and a 1x1 layer."""

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        y = _conv(
            x.shape[-1],
            (3, 3),
            self.strides,
            padding=1,
            feature_group_count=x.shape[-1],
            kernel_init=kaiming_fan_in,
            dtype=self.dtype,
            name="conv_dw",
        )(x)
        y = relu6(_norm(dtype=self.dtype, name="bn1")(y, train=train))
        y = _conv(self.width, (1, 1), kernel_init=kaiming_normal, dtype=self.dtype, name="conv_pw")(
            y
        )
        return relu6(_norm(dtype=self.dtype, name="bn2")(y, train=train))


class MobileNetV1(nn.Module):
    """A strided stem, five groups of `Separable`, pooling and a linear layer.

    `width_mult` scales every width; `head` adds a 1x1 layer of 1024 channels before the pooling.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    head: bool = False
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" is the first group, before the next stride.
        """
        check_images(self, images)
        conv = partial(_conv, kernel_init=kaiming_normal, dtype=self.dtype)
        norm = partial(_norm, dtype=self.dtype)
        x = conv(round_width(32 * self.width_mult), (3, 3), 2, padding=1, name="conv_stem")(images)
        x = relu6(norm(name="bn1")(x, train=train))
        stages = {}
        for group, (width, depth) in enumerate(_GROUPS):
            for index in range(depth):
                block = Separable(
                    round_width(width * self.width_mult),
                    strides=2 if group > 0 and index == 0 else 1,
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{group}" if group else "stem"] = x
        if self.head:
            x = conv(1024, (1, 1), name="conv_head")(x)
            x = relu6(norm(name="bn2")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform_fan_out,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "mobilenetv1_100": Network(MobileNetV1),
    "mobilenetv1_100h": Network(MobileNetV1, {"head": True}),
    "mobilenetv1_125": Network(MobileNetV1, {"width_mult": 1.25}),
}
