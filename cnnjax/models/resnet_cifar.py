"""Residual networks for 32-pixel images, activation after the addition: ResNet, ResNeXt.

He et al. 2016 (arXiv:1512.03385) section 4.2, with parameter-free shortcuts (option A); the wide
ones of four stages are the ImageNet networks with a 3x3 stem of stride 1 and no pooling; Xie et
al. 2017 (arXiv:1611.05431) section 5.3.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import unknown
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run, uniform
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "BasicBlock", "Bottleneck", "ResNetCifar"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_PAD = [(1, 1), (1, 1)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut of kind "A" or "B"."""

    width: int
    strides: int = 1
    shortcut: Literal["A", "B"] = "A"
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = conv(self.width, (3, 3), self.strides, padding=_PAD, name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = conv(self.width, (3, 3), padding=_PAD, name="conv2")(y)
        y = norm(name="bn2")(y, train=train)
        return relu(y + _shortcut(self, x, self.width, train))


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions to `expansion * width`, and a shortcut."""

    width: int
    strides: int = 1
    shortcut: Literal["A", "B"] = "B"
    groups: int = 1
    inner: int = 1
    expansion: int = 4
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, expansion * width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner, outer = self.inner * self.width, self.expansion * self.width
        y = relu(norm(name="bn1")(conv(inner, (1, 1), name="conv1")(x), train=train))
        y = conv(
            inner,
            (3, 3),
            self.strides,
            padding=_PAD,
            feature_group_count=self.groups,
            name="conv2",
        )(y)
        y = relu(norm(name="bn2")(y, train=train))
        y = norm(name="bn3")(conv(outer, (1, 1), name="conv3")(y), train=train)
        return relu(y + _shortcut(self, x, outer, train))


def _shortcut(block: BasicBlock | Bottleneck, x: Array, features: int, train: bool) -> Array:
    """Option A: every second position, new channels zero on both sides; B: a 1x1 projection."""
    if x.shape[-1] == features and block.strides == 1:
        return x
    if block.shortcut == "A":
        new = features - x.shape[-1]
        x = x[:, :: block.strides, :: block.strides]
        return jnp.pad(x, [(0, 0)] * 3 + [(new // 2, new - new // 2)])
    x = _conv(features, (1, 1), block.strides, dtype=block.dtype, name="shortcut.0")(x)
    return _norm(dtype=block.dtype, name="shortcut.1")(x, train=train)


class ResNetCifar(nn.Module):
    """A 3x3 stem, stages of residual blocks of doubling width, global average pooling, linear.

    `block` is called with `width`, `strides`, `shortcut`, `dtype` and `name`; `width` is that of
    the first stage and `stem` that of the first convolution. `shortcut` is "A" or "B".
    """

    depths: tuple[int, ...]
    block: Callable[..., nn.Module] = BasicBlock
    width: int = 16
    stem: int = 16
    shortcut: Literal["A", "B"] = "A"
    num_classes: int = 10
    remat: bool = False
    dtype: DType = jnp.float32

    def __post_init__(self) -> None:
        """Check the kind of shortcut."""
        if self.shortcut not in ("A", "B"):
            raise unknown("shortcut", self.shortcut, ("A", "B"))
        super().__post_init__()

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = _conv(self.stem, (3, 3), padding=_PAD, dtype=self.dtype, name="conv1")(images)
        x = relu(_norm(dtype=self.dtype, name="bn1")(x, train=train))
        stages = {"stem": x}
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                block = self.block(
                    width=self.width * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    shortcut=self.shortcut,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="linear", dtype=self.dtype, kernel_init=uniform
        )
        return (logits, stages) if features else logits


def _plain(blocks: int) -> dict[str, Any]:
    """Depth 6 n + 2 of three stages of n blocks."""
    return {"depths": (blocks,) * 3}


def _wide(depths: tuple[int, ...], block: Callable[..., nn.Module]) -> dict[str, Any]:
    return {"depths": depths, "block": block, "width": 64, "stem": 64, "shortcut": "B"}


def _next(groups: int, group_width: int) -> dict[str, Any]:
    inner = groups * group_width // 64
    block = partial(Bottleneck, groups=groups, inner=inner)
    return {"depths": (3, 3, 3), "block": block, "width": 64, "stem": 64, "shortcut": "B"}


_bottleneck = {"depths": (18, 18, 18), "block": Bottleneck, "shortcut": "B"}

NETWORKS = {
    "resnet8_cifar": Network(ResNetCifar, _plain(1)),
    "resnet14_cifar": Network(ResNetCifar, _plain(2)),
    "resnet20_cifar": Network(ResNetCifar, _plain(3)),
    "resnet32_cifar": Network(ResNetCifar, _plain(5)),
    "resnet44_cifar": Network(ResNetCifar, _plain(7)),
    "resnet56_cifar": Network(ResNetCifar, _plain(9)),
    "resnet110_cifar": Network(ResNetCifar, _plain(18)),
    "resnet1202_cifar": Network(ResNetCifar, _plain(200)),
    "resnet164_bottleneck_cifar": Network(ResNetCifar, _bottleneck),
    "resnet18_cifar": Network(ResNetCifar, _wide((2, 2, 2, 2), BasicBlock)),
    "resnet34_cifar": Network(ResNetCifar, _wide((3, 4, 6, 3), BasicBlock)),
    "resnet50_cifar": Network(ResNetCifar, _wide((3, 4, 6, 3), Bottleneck)),
    "resnet101_cifar": Network(ResNetCifar, _wide((3, 4, 23, 3), Bottleneck)),
    "resnet152_cifar": Network(ResNetCifar, _wide((3, 8, 36, 3), Bottleneck)),
    "resnext29_32x4d_cifar": Network(ResNetCifar, _next(32, 4)),
    "resnext29_16x64d_cifar": Network(ResNetCifar, _next(16, 64)),
}
