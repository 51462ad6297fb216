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


def _row(family: type[nn.Module], fields: dict[str, Any], *row: Any) -> Network:
    parameters, statistics, gmacs, accuracy, reference, *source = row
    return Network(
        family,
        fields,
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=32,
        reference=reference,
        accuracy=accuracy,
        accuracy_source=source[0] if source else "",
        dataset="CIFAR-10",
    )


def _pre(blocks: int, *row: Any) -> Network:
    fields = {"depths": (blocks,) * 3, "widths": (16, 32, 64)}
    return _row(PreResNetCifar, fields, *row, "arXiv:1603.05027")


def _wide(depth: int, factor: int, *row: Any) -> Network:
    """Depth 6 n + 4, `factor` times the width."""
    widths = (16 * factor, 32 * factor, 64 * factor)
    fields = {"depths": ((depth - 4) // 6,) * 3, "widths": widths}
    return _row(PreResNetCifar, fields, *row, "arXiv:1605.07146")


def _pyramid(depth: int, alpha: int, *row: Any) -> Network:
    fields = {"blocks": (depth - 2) // 6, "alpha": alpha}
    return _row(PyramidNetCifar, fields, *row, "arXiv:1610.02915")


_preact18 = {"depths": (2, 2, 2, 2), "widths": (64, 128, 256, 512), "stem": 64, "final_norm": False}

# fmt: off
NETWORKS = {
    # ..., parameters, BatchNorm statistics, 1e9 multiply-adds, published accuracy
    "preresnet20_cifar": _pre(3, 272_282, 1_376, 0.04081, None),
    "preresnet56_cifar": _pre(9, 855_578, 4_064, 0.1257, None),
    "preresnet110_cifar": _pre(18, 1_730_522, 8_096, 0.2531, 93.63),
    "preact_resnet18_cifar": _row(PreResNetCifar, _preact18, 11_171_146, 6_784, 0.5554, 95.11, "arXiv:1603.05027", "kuangliu/pytorch-cifar"),
    "wrn16_4_cifar": _wide(16, 4, 2_748_890, 3_616, 0.3926, None),
    "wrn16_8_cifar": _wide(16, 8, 10_961_370, 7_200, 1.548, 95.73),
    "wrn16_10_cifar": _wide(16, 10, 17_116_634, 8_992, 2.412, None),
    "wrn22_8_cifar": _wide(22, 8, 17_158_106, 10_784, 2.454, None),
    "wrn28_2_cifar": _wide(28, 2, 1_467_610, 3_616, 0.2144, None),
    "wrn28_10_cifar": _wide(28, 10, 36_479_194, 17_952, 5.243, 96.0),
    "wrn40_2_cifar": _wide(40, 2, 2_243_546, 5_408, 0.3276, None),
    "wrn40_4_cifar": _wide(40, 4, 8_949_210, 10_784, 1.299, 95.47),
    "wrn40_8_cifar": _wide(40, 8, 35_748_314, 21_536, 5.172, None),
    "wrn40_10_cifar": _wide(40, 10, 55_841_754, 26_912, 8.074, 96.2),
    "pyramidnet110_a48_cifar": _pyramid(110, 48, 1_772_706, 13_168, 0.4038, 95.42),
    "pyramidnet110_a84_cifar": _pyramid(110, 84, 3_904_446, 19_108, 0.7722, 95.74),
    "pyramidnet110_a270_cifar": _pyramid(110, 270, 28_485_477, 49_798, 4.718, 96.27),
}
# fmt: on
