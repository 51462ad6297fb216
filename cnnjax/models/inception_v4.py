"""Inception v4 and Inception-ResNet v2: branches of many shapes, concatenated.

Szegedy et al. 2017 (arXiv:1602.07261), as timm.models.inception_v4 and inception_resnet_v2 define
them.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, ConvNormAct, classify, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "Branches", "InceptionC", "InceptionResNetV2", "InceptionV4", "Residual"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-3)
_layer = partial(ConvNormAct, norm=_norm, kernel_init=uniform)

Row = tuple[Any, ...]


def _rows(x: Array, rows: tuple[Row, ...], name: str, dtype: DType, train: bool) -> Array:
    """Layers in sequence; the reference numbers them where there are several.

    A row is (width, kernel size); (width, kernel size, strides) pads nothing.
    """
    for index, (width, size, *strides) in enumerate(rows):
        x = _layer(
            width,
            size,
            strides[0] if strides else 1,
            padding=0 if strides else None,
            dtype=dtype,
            name=f"{name}.{index}" if len(rows) > 1 else name,
        )(x, train=train)
    return x


class Branches(nn.Module):
    """Branches of convolutions beside each other, and maybe a pool, concatenated.

    `averaged` is the width of a 1x1 layer after a 3x3 mean; `pooled` adds a 3x3 max pool of
    stride 2.
    """

    branches: tuple[tuple[Row, ...], ...]
    averaged: int = 0
    pooled: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H', W', sum of the widths]`."""
        outputs = [
            _rows(x, rows, f"branch{index}", self.dtype, train)
            for index, rows in enumerate(self.branches)
        ]
        if self.averaged:
            y = ops.avg_pool(x, 3, strides=1, padding=1, count_include_pad=False)
            name = f"branch{len(outputs)}.1"
            outputs.append(_rows(y, ((self.averaged, 1),), name, self.dtype, train))
        if self.pooled:
            outputs.append(ops.max_pool(x, 3, strides=2))
        return jnp.concatenate(outputs, axis=-1)


class InceptionC(nn.Module):
    """The last block of v4: two of its branches end in two layers beside each other."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, 1536]`."""

        def layer(x: Array, width: int, size: Any, name: str) -> Array:
            return _layer(width, size, dtype=self.dtype, name=name)(x, train=train)

        first = layer(x, 384, 1, "branch1_0")
        second = layer(layer(x, 384, 1, "branch2_0"), 448, (3, 1), "branch2_1")
        second = layer(second, 512, (1, 3), "branch2_2")
        mean = ops.avg_pool(x, 3, strides=1, padding=1, count_include_pad=False)
        outputs = [
            layer(x, 256, 1, "branch0"),
            layer(first, 256, (1, 3), "branch1_1a"),
            layer(first, 256, (3, 1), "branch1_1b"),
            layer(second, 256, (1, 3), "branch2_3a"),
            layer(second, 256, (3, 1), "branch2_3b"),
            layer(mean, 256, 1, "branch3.1"),
        ]
        return jnp.concatenate(outputs, axis=-1)


class Residual(nn.Module):
    """`relu(x + scale * conv1x1(branches))`; `act` False leaves the ReLU out."""

    branches: tuple[tuple[Row, ...], ...]
    scale: float
    act: bool = True
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        outputs = [
            _rows(x, rows, f"branch{index}", self.dtype, train)
            for index, rows in enumerate(self.branches)
        ]
        y = jnp.concatenate(outputs, axis=-1)
        y = Conv(
            x.shape[-1],
            (1, 1),
            kernel_init=uniform,
            bias_init=uniform_bias(y.shape[-1]),
            dtype=self.dtype,
            name="conv2d",
        )(y)
        y = x + self.scale * y
        return relu(y) if self.act else y


_A = (((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3)))
_B = (
    ((384, 1),),
    ((192, 1), (224, (1, 7)), (256, (7, 1))),
    ((192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
)
_TO_A = (((64, 1), (96, 3, 1)), ((64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1)))
_TO_B = (((384, 3, 2),), ((192, 1), (224, 3), (256, 3, 2)))
_TO_C = (((192, 1), (192, 3, 2)), ((256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)))


class InceptionV4(nn.Module):
    """A stem, blocks A, B and C with a strided block between, pooling and a linear layer.

    `depths` counts the blocks A, B and C.
    """

    depths: tuple[int, int, int] = (4, 7, 3)
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=75)
        layer = partial(_layer, padding=0, dtype=self.dtype)
        branches = partial(Branches, dtype=self.dtype)
        x = layer(32, 3, 2, name="features.0")(images, train=train)
        x = layer(32, 3, name="features.1")(x, train=train)
        x = layer(64, 3, padding=1, name="features.2")(x, train=train)
        stages = {"stem": x}
        y = layer(96, 3, 2, name="features.3.conv")(x, train=train)
        x = jnp.concatenate([ops.max_pool(x, 3, strides=2), y], axis=-1)
        stages["stage1"] = x
        x = branches(_TO_A, name="features.4")(x, train=train)
        y = layer(192, 3, 2, name="features.5.conv")(x, train=train)
        x = jnp.concatenate([y, ops.max_pool(x, 3, strides=2)], axis=-1)
        blocks = (
            partial(branches, _A, averaged=96),
            partial(branches, _B, averaged=128),
            partial(InceptionC, dtype=self.dtype),
        )
        at = 6
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                rows = (_TO_B, _TO_C)[stage - 1]
                x = branches(rows, pooled=True, name=f"features.{at}")(x, train=train)
                at += 1
            for _ in range(depth):
                block = blocks[stage](name=f"features.{at}")
                x = run(block, x, train=train, remat=self.remat)
                at += 1
            stages[f"stage{stage + 2}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="last_linear",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


_5B = (((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)))
_6A = (((384, 3, 2),), ((256, 1), (256, 3), (384, 3, 2)))
_7A = (((256, 1), (384, 3, 2)), ((256, 1), (288, 3, 2)), ((256, 1), (288, 3), (320, 3, 2)))
_35 = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
_17 = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
_8 = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))


class InceptionResNetV2(nn.Module):
    """A stem, three stages of `Residual` with strided blocks between, pooling, a linear layer.

    `depths` counts the residual blocks of each stage; a last one has no ReLU and scale 1.
    """

    depths: tuple[int, int, int] = (10, 20, 9)
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=75)
        layer = partial(_layer, padding=0, dtype=self.dtype)
        branches = partial(Branches, dtype=self.dtype)
        x = layer(32, 3, 2, name="conv2d_1a")(images, train=train)
        x = layer(32, 3, name="conv2d_2a")(x, train=train)
        x = layer(64, 3, padding=1, name="conv2d_2b")(x, train=train)
        stages = {"stem": x}
        x = layer(80, 1, name="conv2d_3b")(ops.max_pool(x, 3, strides=2), train=train)
        x = layer(192, 3, name="conv2d_4a")(x, train=train)
        stages["stage1"] = x
        x = ops.max_pool(x, 3, strides=2)
        # (strided block before, residual blocks, their scale and name)
        rows = (
            (branches(_5B, averaged=64, name="mixed_5b"), _35, 0.17, "repeat"),
            (branches(_6A, pooled=True, name="mixed_6a"), _17, 0.1, "repeat_1"),
            (branches(_7A, pooled=True, name="mixed_7a"), _8, 0.2, "repeat_2"),
        )
        for stage, (before, residual, scale, name) in enumerate(rows):
            x = before(x, train=train)
            for index in range(self.depths[stage]):
                block = Residual(residual, scale, dtype=self.dtype, name=f"{name}.{index}")
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 2}"] = x
        x = Residual(_8, 1.0, act=False, dtype=self.dtype, name="block8")(x, train=train)
        x = layer(1536, 1, name="conv2d_7b")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classif",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "inception_v4": Network(InceptionV4),
    "inception_resnet_v2": Network(InceptionResNetV2),
}
