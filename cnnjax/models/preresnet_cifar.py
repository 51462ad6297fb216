"""Residual networks for 32-pixel images, activation before the convolutions.

Pre-activation ResNet: He et al. 2016 (arXiv:1603.05027). Wide ResNet: Zagoruyko and Komodakis 2016
(arXiv:1605.07146). PyramidNet: Han, Kim and Kim 2017 (arXiv:1610.02915).
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, averaged, classify, kaiming_normal, relu, run, uniform
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "PreActBlock", "PreResNetCifar", "PyramidBlock", "PyramidNetCifar"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_PAD = [(1, 1), (1, 1)]


class PreActBlock(nn.Module):
    """Norm, activation, 3x3 convolution, twice; a 1x1 projection of the first activation."""

    width: int
    strides: int = 1
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = relu(norm(name="bn1")(x, train=train))
        if x.shape[-1] != self.width or self.strides != 1:
            x = conv(self.width, (1, 1), self.strides, name="shortcut.0")(y)
        y = conv(self.width, (3, 3), self.strides, padding=_PAD, name="conv1")(y)
        y = relu(norm(name="bn2")(y, train=train))
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return x + conv(self.width, (3, 3), padding=_PAD, name="conv2")(y)


class PyramidBlock(nn.Module):
    """Norm, 3x3 convolution, norm, activation, 3x3 convolution, norm; zero-padded shortcut."""

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = norm(name="bn1")(x, train=train)
        y = conv(self.width, (3, 3), self.strides, padding=_PAD, name="conv1")(y)
        y = relu(norm(name="bn2")(y, train=train))
        y = conv(self.width, (3, 3), padding=_PAD, name="conv2")(y)
        y = norm(name="bn3")(y, train=train)
        x = averaged(x, self.strides)
        return y + jnp.pad(x, [(0, 0)] * 3 + [(0, self.width - x.shape[-1])])


class PreResNetCifar(nn.Module):
    """A 3x3 stem, stages of pre-activation blocks, norm, activation, average pooling, linear.

    `widths` are those of the stages; `dropout_rate` is between the convolutions of a block.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem: int = 16
    final_norm: bool = True
    dropout_rate: float = 0.0
    num_classes: int = 10
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = _conv(self.stem, (3, 3), padding=_PAD, dtype=self.dtype, name="conv1")(images)
        stages = {"stem": x}
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                block = PreActBlock(
                    width,
                    strides=2 if stage > 0 and index == 0 else 1,
                    dropout_rate=self.dropout_rate,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        if self.final_norm:
            x = relu(_norm(dtype=self.dtype, name="bn")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="linear", dtype=self.dtype, kernel_init=uniform
        )
        return (logits, stages) if features else logits


class PyramidNetCifar(nn.Module):
    """A 3x3 stem and three stages of blocks whose width grows by `alpha / blocks` at each."""

    blocks: int
    alpha: int
    num_classes: int = 10
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = _conv(16, (3, 3), padding=_PAD, dtype=self.dtype, name="conv1")(images)
        x = _norm(dtype=self.dtype, name="bn1")(x, train=train)
        stages = {"stem": x}
        for number in range(3 * self.blocks):
            stage, index = divmod(number, self.blocks)
            block = PyramidBlock(
                16 + round((number + 1) * self.alpha / (3 * self.blocks)),
                strides=2 if stage > 0 and index == 0 else 1,
                dtype=self.dtype,
                name=f"layer{stage + 1}.{index}",
            )
            x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = relu(_norm(dtype=self.dtype, name="bn")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="linear", dtype=self.dtype, kernel_init=uniform
        )
        return (logits, stages) if features else logits


def _pre(blocks: int) -> dict[str, Any]:
    return {"depths": (blocks,) * 3, "widths": (16, 32, 64)}


def _wide(depth: int, factor: int) -> dict[str, Any]:
    """Depth 6 n + 4, `factor` times the width."""
    return {
        "depths": ((depth - 4) // 6,) * 3,
        "widths": (16 * factor, 32 * factor, 64 * factor),
    }


def _pyramid(depth: int, alpha: int) -> dict[str, Any]:
    return {"blocks": (depth - 2) // 6, "alpha": alpha}


_preact18 = {"depths": (2, 2, 2, 2), "widths": (64, 128, 256, 512), "stem": 64, "final_norm": False}

NETWORKS = {
    "preresnet20_cifar": Network(PreResNetCifar, _pre(3)),
    "preresnet56_cifar": Network(PreResNetCifar, _pre(9)),
    "preresnet110_cifar": Network(PreResNetCifar, _pre(18)),
    "preact_resnet18_cifar": Network(PreResNetCifar, _preact18),
    "wrn16_4_cifar": Network(PreResNetCifar, _wide(16, 4)),
    "wrn16_8_cifar": Network(PreResNetCifar, _wide(16, 8)),
    "wrn16_10_cifar": Network(PreResNetCifar, _wide(16, 10)),
    "wrn22_8_cifar": Network(PreResNetCifar, _wide(22, 8)),
    "wrn28_2_cifar": Network(PreResNetCifar, _wide(28, 2)),
    "wrn28_10_cifar": Network(PreResNetCifar, _wide(28, 10)),
    "wrn40_2_cifar": Network(PreResNetCifar, _wide(40, 2)),
    "wrn40_4_cifar": Network(PreResNetCifar, _wide(40, 4)),
    "wrn40_8_cifar": Network(PreResNetCifar, _wide(40, 8)),
    "wrn40_10_cifar": Network(PreResNetCifar, _wide(40, 10)),
    "pyramidnet110_a48_cifar": Network(PyramidNetCifar, _pyramid(110, 48)),
    "pyramidnet110_a84_cifar": Network(PyramidNetCifar, _pyramid(110, 84)),
    "pyramidnet110_a270_cifar": Network(PyramidNetCifar, _pyramid(110, 270)),
}
