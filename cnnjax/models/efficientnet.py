"""EfficientNet and EfficientNetV2: mobile inverted bottlenecks, scaled in all dimensions at once.

Tan and Le 2019 (arXiv:1905.11946) and 2021 (arXiv:2104.00298), as torchvision.models.efficientnet
defines them.
"""

from functools import partial
from math import ceil
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    SqueezeExcite,
    classify,
    drop_path,
    kaiming_normal,
    run,
    silu,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "EfficientNet", "MBConv"]

Group = tuple[bool, int, int, int, int, int]

_layer = partial(ConvNormAct, act=silu, names=("0", "1"))


class MBConv(nn.Module):
    """An expansion, a depthwise layer, squeeze-excite and a linear 1x1, with a shortcut.

    `fused` merges the expansion with the depthwise layer into one dense layer and has no
    squeeze-excite; at expansion 1 that layer is all there is.
    """

    width: int
    kernel_size: int = 3
    strides: int = 1
    expansion: int = 6
    fused: bool = False
    drop_path_rate: float = 0.0
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        norm = partial(BatchNorm, momentum=self.momentum, epsilon=self.epsilon)
        layer = partial(_layer, norm=norm, dtype=self.dtype)
        inner, size, strides = x.shape[-1] * self.expansion, self.kernel_size, self.strides
        y, at = x, 0
        if self.fused:
            y = layer(inner if self.expansion > 1 else self.width, size, strides, name="block.0")(
                y, train=train
            )
        else:
            if self.expansion > 1:
                y, at = layer(inner, 1, name="block.0")(y, train=train), 1
            y = layer(inner, size, strides, groups=inner, name=f"block.{at}")(y, train=train)
            at += 1
            y = SqueezeExcite(
                max(1, x.shape[-1] // 4),
                act=silu,
                kernel_init=kaiming_normal,
                dtype=self.dtype,
                name=f"block.{at}",
            )(y, train=train)
        if not self.fused or self.expansion > 1:
            y = layer(self.width, 1, act=None, name=f"block.{at + 1}")(y, train=train)
        if self.strides > 1 or x.shape != y.shape:
            return y
        return x + drop_path(y, self.drop_path_rate, train=train)


class EfficientNet(nn.Module):
    """A strided stem, groups of `MBConv`, a 1x1 layer, pooling and a linear layer.

    A row of `groups` is (fused, expansion, kernel size, strides of the first block, width,
    blocks); `width_mult` and `depth_mult` scale the last two. `last_width` is that of the last 1x1
    layer, None for four times the width before it. `strides` are those of the stem and of the
    first group that has a stride; (1, 1) suits images of 32 pixels. `drop_path_rate` grows
    linearly from 0 at the first block. `momentum` and `epsilon` are the BatchNorm's.
    """

    groups: tuple[Group, ...]
    num_classes: int = 1000
    width_mult: float = 1.0
    depth_mult: float = 1.0
    last_width: int | None = None
    strides: tuple[int, int] = (2, 2)
    dropout_rate: float = 0.2
    drop_path_rate: float = 0.2
    momentum: float = 0.9
    epsilon: float = 1e-5
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
        norm = partial(BatchNorm, momentum=self.momentum, epsilon=self.epsilon)
        layer = partial(_layer, norm=norm, dtype=self.dtype)
        depths = [ceil(depth * self.depth_mult) for *_, depth in self.groups]
        # The stem is as wide as the reference's table says the first group's input is: 32, or in
        # V2 the width of the first group.
        fused, *_, width, _ = self.groups[0]
        width = round_width((width if fused else 32) * self.width_mult)
        x = layer(width, 3, self.strides[0], name="features.0")(images, train=train)
        stages, stage, block_index = {}, 0, 0
        for group, (fused, expansion, size, strides, width, _) in enumerate(self.groups):
            stage += strides - 1
            if stage == 1 and strides == 2:
                strides = self.strides[1]
            for index in range(depths[group]):
                block = MBConv(
                    round_width(width * self.width_mult),
                    kernel_size=size,
                    strides=strides if index == 0 else 1,
                    expansion=expansion,
                    fused=fused,
                    drop_path_rate=self.drop_path_rate * block_index / sum(depths),
                    momentum=self.momentum,
                    epsilon=self.epsilon,
                    dtype=self.dtype,
                    name=f"features.{group + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        width = self.last_width or 4 * x.shape[-1]
        x = layer(width, 1, name=f"features.{len(self.groups) + 1}")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.1",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform"),
        )
        return (logits, stages) if features else logits


# (fused, expansion, kernel size, strides, width, blocks): table 1 of the first paper, table 4 of
# the second; the larger V2 are in the authors' repository (google/automl, efficientnetv2).
_B: tuple[Group, ...] = (
    (False, 1, 3, 1, 16, 1),
    (False, 6, 3, 2, 24, 2),
    (False, 6, 5, 2, 40, 2),
    (False, 6, 3, 2, 80, 3),
    (False, 6, 5, 1, 112, 3),
    (False, 6, 5, 2, 192, 4),
    (False, 6, 3, 1, 320, 1),
)
_V2_S: tuple[Group, ...] = (
    (True, 1, 3, 1, 24, 2),
    (True, 4, 3, 2, 48, 4),
    (True, 4, 3, 2, 64, 4),
    (False, 4, 3, 2, 128, 6),
    (False, 6, 3, 1, 160, 9),
    (False, 6, 3, 2, 256, 15),
)
_V2_M: tuple[Group, ...] = (
    (True, 1, 3, 1, 24, 3),
    (True, 4, 3, 2, 48, 5),
    (True, 4, 3, 2, 80, 5),
    (False, 4, 3, 2, 160, 7),
    (False, 6, 3, 1, 176, 14),
    (False, 6, 3, 2, 304, 18),
    (False, 6, 3, 1, 512, 5),
)
_V2_L: tuple[Group, ...] = (
    (True, 1, 3, 1, 32, 4),
    (True, 4, 3, 2, 64, 7),
    (True, 4, 3, 2, 96, 7),
    (False, 4, 3, 2, 192, 10),
    (False, 6, 3, 1, 224, 19),
    (False, 6, 3, 2, 384, 25),
    (False, 6, 3, 1, 640, 7),
)


def _row(fields: dict[str, Any], *row: Any, weights: str = "IMAGENET1K_V1") -> Network:
    input_size, parameters, statistics, gmacs, accuracy = row
    return Network(
        EfficientNet,
        fields,
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="torchvision",
        accuracy=accuracy,
        weights=weights,
    )


def _b(width: float, depth: float, dropout: float, **fields: Any) -> dict[str, Any]:
    scaling = {"width_mult": width, "depth_mult": depth, "dropout_rate": dropout}
    return {"groups": _B, **scaling, **fields}


def _v2(groups: tuple[Group, ...], dropout: float) -> dict[str, Any]:
    return {"groups": groups, "last_width": 1280, "dropout_rate": dropout, "epsilon": 1e-3}


# TensorFlow's statistics, kept where the reference converted TensorFlow's weights.
_TF = {"momentum": 0.99, "epsilon": 1e-3}

NETWORKS = {
    # fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1
    "efficientnet_b0": _row(_b(1.0, 1.0, 0.2), 224, 5_288_548, 42_016, 0.3858, 77.692),
    "efficientnet_b1": _row(
        _b(1.0, 1.1, 0.2), 240, 7_794_184, 62_048, 0.6868, 79.838, weights="IMAGENET1K_V2"
    ),
    "efficientnet_b2": _row(_b(1.1, 1.2, 0.3), 288, 9_109_994, 67_568, 1.088, 80.608),
    "efficientnet_b3": _row(_b(1.2, 1.4, 0.3), 300, 12_233_232, 87_296, 1.827, 82.008),
    "efficientnet_b4": _row(_b(1.4, 1.8, 0.4), 380, 19_341_616, 125_200, 4.394, 83.384),
    "efficientnet_b5": _row(_b(1.6, 2.2, 0.4, **_TF), 456, 30_389_784, 172_736, 10.266, 83.444),
    "efficientnet_b6": _row(_b(1.8, 2.6, 0.5, **_TF), 528, 43_040_704, 224_432, 19.068, 84.008),
    "efficientnet_b7": _row(_b(2.0, 3.1, 0.5, **_TF), 600, 66_347_960, 310_720, 37.746, 84.122),
    "efficientnet_v2_s": _row(_v2(_V2_S, 0.2), 384, 21_458_488, 153_872, 8.366, 84.228),
    "efficientnet_v2_m": _row(_v2(_V2_M, 0.3), 480, 54_139_356, 292_032, 24.582, 85.112),
    "efficientnet_v2_l": _row(_v2(_V2_L, 0.4), 480, 118_515_272, 512_576, 56.08, 85.808),
    # The stem and the first stride as in mobilenet_v2_cifar: 4x4 positions are left of 32.
    "efficientnet_b0_cifar": Network(
        EfficientNet,
        {"groups": _B, "num_classes": 10, "strides": (1, 1)},
        parameters=4_020_358,
        batch_statistics=42_016,
        multiply_adds=0.1162,
        input_size=32,
        reference="arXiv:1905.11946",
        dataset="CIFAR-10",
    ),
}
