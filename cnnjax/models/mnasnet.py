"""MNASNet: the network found by a search that measured latency on a phone.

Tan et al. 2019 (arXiv:1807.11626), the variant B1 without squeeze-excite, as
torchvision.models.mnasnet defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "InvertedResidual", "MNASNet"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)

# (expansion, width, blocks, strides of the first block, kernel size) of every stack
_STACKS = (
    (3, 24, 3, 2, 3),
    (3, 40, 3, 2, 5),
    (6, 80, 3, 2, 5),
    (6, 96, 2, 1, 3),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def _layer(
    x: Array,
    at: int,
    width: int,
    size: int = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    momentum: float,
    dtype: DType,
    train: bool,
) -> Array:
    """Convolve and normalise, as layers `at` and `at + 1` of the sequence."""
    x = _conv(
        width,
        (size, size),
        strides,
        padding=size // 2,
        feature_group_count=groups,
        dtype=dtype,
        name=f"layers.{at}",
    )(x)
    return BatchNorm(momentum, 1e-5, dtype=dtype, name=f"layers.{at + 1}")(x, train=train)


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise layer and a linear 1x1, with a shortcut where shapes agree."""

    width: int
    expansion: int
    kernel_size: int
    strides: int = 1
    momentum: float = 0.9997
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(_layer, momentum=self.momentum, dtype=self.dtype, train=train)
        inner = x.shape[-1] * self.expansion
        y = relu(layer(x, 0, inner))
        y = relu(layer(y, 3, inner, self.kernel_size, self.strides, groups=inner))
        y = layer(y, 6, self.width)
        return x + y if self.strides == 1 and x.shape == y.shape else y


class MNASNet(nn.Module):
    """A strided stem, a separable convolution, six stacks of blocks, pooling and a linear layer.

    `width_mult` scales every width but the last 1x1 layer's 1280. `momentum` is the BatchNorm's;
    with the paper's, the default, the statistics need thousands of steps to be of use.
    """

    width_mult: float = 1.0
    num_classes: int = 1000
    dropout_rate: float = 0.2
    momentum: float = 0.9997
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next stride; "stem" is all before the first stack.
        """
        check_images(self, images)
        layer = partial(_layer, momentum=self.momentum, dtype=self.dtype, train=train)
        width = round_width(32 * self.width_mult)
        x = relu(layer(images, 0, width, 3, 2))
        x = relu(layer(x, 3, width, 3, groups=width))
        x = layer(x, 6, round_width(16 * self.width_mult))
        stages, stage = {"stem": x}, 0
        for at, (expansion, width, depth, strides, size) in enumerate(_STACKS, start=8):
            for index in range(depth):
                block = InvertedResidual(
                    round_width(width * self.width_mult),
                    expansion=expansion,
                    kernel_size=size,
                    strides=strides if index == 0 else 1,
                    momentum=self.momentum,
                    dtype=self.dtype,
                    name=f"layers.{at}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stage += strides - 1
            stages[f"stage{stage}"] = x
        x = relu(layer(x, 14, 1280))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.1",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.variance_scaling(1.0, "fan_out", "uniform"),
        )
        return (logits, stages) if features else logits


def _row(width_mult: float, *row: Any) -> Network:
    parameters, statistics, gmacs, accuracy = row
    return Network(
        MNASNet,
        {"width_mult": width_mult},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        reference="torchvision",
        accuracy=accuracy,
        weights="IMAGENET1K_V1",
    )


NETWORKS = {
    # width_mult, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1
    "mnasnet0_5": _row(0.5, 2_218_512, 20_624, 0.1045, 67.734),
    "mnasnet0_75": _row(0.75, 3_170_208, 29_808, 0.2155, 71.18),
    "mnasnet1_0": _row(1.0, 4_383_312, 37_920, 0.3144, 73.456),
    "mnasnet1_3": _row(1.3, 6_282_256, 48_816, 0.5264, 76.506),
}
