"""Residual networks for large images: ResNet, ResNeXt, Wide ResNet.

He et al. 2016 (arXiv:1512.03385), Xie et al. 2017 (arXiv:1611.05431), Zagoruyko and Komodakis 2016
(arXiv:1605.07146), as torchvision.models.resnet defines them: the stride of a bottleneck is in its
3x3 convolution ("v1.5").
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "BasicBlock", "Bottleneck", "ResNet"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = conv(self.width, (3, 3), self.strides, padding=1, name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = conv(self.width, (3, 3), padding=1, name="conv2")(y)
        y = norm(name="bn2")(y, train=train)
        return relu(y + _shortcut(x, self.width, self.strides, self.dtype, train))


class Bottleneck(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions to four times the width, and a shortcut."""

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
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
        y = norm(name="bn3")(conv(outer, (1, 1), name="conv3")(y), train=train)
        return relu(y + _shortcut(x, outer, self.strides, self.dtype, train))


def _shortcut(x: Array, features: int, strides: int, dtype: DType, train: bool) -> Array:
    """The identity, or a strided 1x1 projection where the shape changes (option B)."""
    if x.shape[-1] == features and strides == 1:
        return x
    x = _conv(features, (1, 1), strides, dtype=dtype, name="downsample.0")(x)
    return _norm(dtype=dtype, name="downsample.1")(x, train=train)


class ResNet(nn.Module):
    """A 7x7 stem, four stages of residual blocks, global average pooling and a linear layer.

    `block` is called with `width`, `strides`, `dtype` and `name`; `depths` counts the blocks of
    each stage.
    """

    block: Callable[..., nn.Module]
    depths: tuple[int, ...]
    num_classes: int = 1000
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = _conv(64, (7, 7), 2, padding=3, dtype=self.dtype, name="conv1")(images)
        x = relu(_norm(dtype=self.dtype, name="bn1")(x, train=train))
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, padding=1)
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                block = self.block(
                    width=64 * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "resnet18": Network(ResNet, {"block": BasicBlock, "depths": (2, 2, 2, 2)}),
    "resnet34": Network(ResNet, {"block": BasicBlock, "depths": (3, 4, 6, 3)}),
    "resnet50": Network(ResNet, {"block": Bottleneck, "depths": (3, 4, 6, 3)}),
    "resnet101": Network(ResNet, {"block": Bottleneck, "depths": (3, 4, 23, 3)}),
    "resnet152": Network(ResNet, {"block": Bottleneck, "depths": (3, 8, 36, 3)}),
    "resnext50_32x4d": Network(ResNet, {"block": partial(Bottleneck, groups=32, base_width=4), "depths": (3, 4, 6, 3)}),
    "resnext101_32x8d": Network(ResNet, {"block": partial(Bottleneck, groups=32, base_width=8), "depths": (3, 4, 23, 3)}),
    "resnext101_64x4d": Network(ResNet, {"block": partial(Bottleneck, groups=64, base_width=4), "depths": (3, 4, 23, 3)}),
    "wide_resnet50_2": Network(ResNet, {"block": partial(Bottleneck, groups=1, base_width=128), "depths": (3, 4, 6, 3)}),
    "wide_resnet101_2": Network(ResNet, {"block": partial(Bottleneck, groups=1, base_width=128), "depths": (3, 4, 23, 3)}),
}
# fmt: on
