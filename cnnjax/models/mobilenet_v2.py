"""MobileNetV2: inverted residuals with linear bottlenecks.

Sandler et al. 2018 (arXiv:1801.04381), as torchvision.models.mobilenetv2 defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import BatchNorm, Conv, ConvNormAct, classify, kaiming_normal, relu6, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "InvertedResidual", "MobileNetV2"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, norm=_norm, act=relu6, names=("0", "1"))

# (expansion, width, blocks, strides of the first block) of every group: table 2 of the paper
_GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise 3x3 and a linear 1x1, with a shortcut where shapes agree."""

    width: int
    strides: int = 1
    expansion: int = 6
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        inner, layer = x.shape[-1] * self.expansion, partial(_layer, dtype=self.dtype)
        y, at = x, 0
        if self.expansion != 1:
            y, at = layer(inner, 1, name="conv.0")(y, train=train), 1
        y = layer(inner, 3, self.strides, groups=inner, name=f"conv.{at}")(y, train=train)
        y = Conv(
            self.width,
            (1, 1),
            use_bias=False,
            kernel_init=kaiming_normal,
            dtype=self.dtype,
            name=f"conv.{at + 1}",
        )(y)
        y = _norm(dtype=self.dtype, name=f"conv.{at + 2}")(y, train=train)
        return x + y if self.strides == 1 and x.shape == y.shape else y


class MobileNetV2(nn.Module):
    """A strided stem, seven groups of inverted residuals, a 1x1 layer, pooling, a linear layer.

    `width_mult` scales every width, the last 1x1 layer only upwards. `strides` are those of the
    stem and of the first group that has a stride; (1, 1) suits images of 32 pixels.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    strides: tuple[int, int] = (2, 2)
    dropout_rate: float = 0.2
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next group with a stride; "stem" is all before the first.
        """
        check_images(self, images)
        layer = partial(_layer, dtype=self.dtype)
        width = round_width(32 * self.width_mult)
        x = layer(width, 3, self.strides[0], name="features.0")(images, train=train)
        stages, stage, index = {}, 0, 1
        for expansion, width, depth, strides in _GROUPS:
            if strides == 2:
                stage += 1
            if stage == 1:
                strides = self.strides[1]
            for position in range(depth):
                block = InvertedResidual(
                    round_width(width * self.width_mult),
                    strides=strides if position == 0 else 1,
                    expansion=expansion,
                    dtype=self.dtype,
                    name=f"features.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                index += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        width = round_width(1280 * max(1.0, self.width_mult))
        x = layer(width, 1, name=f"features.{index}")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.1",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "mobilenet_v2": Network(
        MobileNetV2,
        parameters=3_504_872,
        batch_statistics=34_112,
        multiply_adds=0.3008,
        reference="torchvision",
        accuracy=72.154,
        weights="IMAGENET1K_V2",
    ),
    # The stem and the first stride of the usual adaptation to CIFAR: 4x4 positions are left of 32.
    "mobilenet_v2_cifar": Network(
        MobileNetV2,
        {"num_classes": 10, "strides": (1, 1)},
        parameters=2_236_682,
        batch_statistics=34_112,
        multiply_adds=0.08798,
        input_size=32,
        reference="arXiv:1801.04381",
        dataset="CIFAR-10",
    ),
}
