"""ReXNet: inverted bottlenecks whose widths grow by the same step from block to block.

Han et al. 2021 (arXiv:2007.00992), as timm.models.rexnet defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    classify,
    drop_path,
    drop_path_rates,
    grouped,
    kaiming_normal,
    relu,
    relu6,
    run,
    sigmoid,
    silu,
    uniform_fan_out,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "ReXBlock", "ReXNet"]


def _layer(
    x: Array,
    width: int,
    size: int = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    act: Activation | None = None,
    dtype: DType,
    name: str,
    train: bool,
) -> Array:
    layer = ConvNormAct(
        width,
        size,
        strides,
        groups=groups,
        act=act,
        kernel_init=grouped(groups),
        dtype=dtype,
        name=name,
    )
    return layer(x, train=train)


def _gate(x: Array, squeezed: int, *, dtype: DType, train: bool) -> Array:
    """Squeeze-excite with a norm behind its first layer."""
    conv = partial(
        Conv,
        kernel_size=(1, 1),
        kernel_init=kaiming_normal,
        dtype=dtype,
    )
    scale = conv(squeezed, name="se.fc1")(ops.global_avg_pool(x)[:, None, None, :])
    scale = BatchNorm(0.9, 1e-5, dtype=dtype, name="se.bn")(scale, train=train)
    return x * sigmoid(conv(x.shape[-1], name="se.fc2")(relu(scale)))


class ReXBlock(nn.Module):
    """A 1x1 expansion, a depthwise 3x3 layer, squeeze-excite, ReLU6, a linear 1x1 layer.

    The shortcut adds to the first channels, as many as there are; it is there where the block does
    not stride. Inner widths are multiples of `divisor`.
    """

    width: int
    expansion: int = 6
    strides: int = 1
    squeeze_excite: bool = True
    divisor: int = 1
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(_layer, dtype=self.dtype, train=train)
        channels, y = x.shape[-1], x
        inner = round_width(channels * self.expansion, self.divisor)
        if self.expansion > 1:
            y = layer(y, inner, act=silu, name="conv_exp")
        y = layer(y, inner, 3, self.strides, groups=inner, name="conv_dw")
        if self.squeeze_excite:
            squeezed = round_width(int(inner / 12), self.divisor)
            y = _gate(y, squeezed, dtype=self.dtype, train=train)
        y = layer(relu6(y), self.width, name="conv_pwl")
        if self.strides > 1 or channels > self.width:
            return y
        y = drop_path(y, self.drop_path_rate, train=train)
        return y + jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.width - channels)))


class ReXNet(nn.Module):
    """A strided stem, sixteen `ReXBlock`, a 1x1 layer, pooling and a linear layer.

    Block i has `width_mult * (16 + i * 180 / 16)` channels, rounded to multiples of `divisor`.
    `drop_path_rate` grows linearly from 0 at the first block to itself at the last.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    divisor: int = 1
    depths: tuple[int, int, int, int, int, int] = (1, 2, 2, 3, 3, 5)
    dropout_rate: float = 0.2
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next block with a stride; "stem" is all before the first.
        """
        check_images(self, images)
        layer = partial(_layer, act=silu, dtype=self.dtype, train=train)
        x = layer(images, round_width(32 * self.width_mult, self.divisor), 3, 2, name="stem")
        total, at, stage = sum(self.depths), 0, 0
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        stages: dict[str, Array] = {}
        for group, depth in enumerate(self.depths):
            strides = (1, 2, 2, 2, 1, 2)[group]
            stage += strides - 1
            for index in range(depth):
                width = round((16 + at * 180 / total) * self.width_mult)
                block = ReXBlock(
                    round_width(width, self.divisor),
                    expansion=6 if group else 1,
                    strides=strides if index == 0 else 1,
                    squeeze_excite=group > 1,
                    divisor=self.divisor,
                    drop_path_rate=rates[group][index],
                    dtype=self.dtype,
                    name=f"features.{at}",
                )
                x = run(block, x, train=train, remat=self.remat)
                at += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        width = round_width(1280 * self.width_mult, self.divisor)
        x = layer(x, width, name=f"features.{at}")
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform_fan_out,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "rexnet_100": Network(ReXNet, {"width_mult": 1.0, "divisor": 1}),
    "rexnet_130": Network(ReXNet, {"width_mult": 1.3, "divisor": 1}),
    "rexnet_150": Network(ReXNet, {"width_mult": 1.5, "divisor": 1}),
    "rexnet_200": Network(ReXNet, {"width_mult": 2.0, "divisor": 1}),
    "rexnet_300": Network(ReXNet, {"width_mult": 3.0, "divisor": 1}),
    "rexnetr_100": Network(ReXNet, {"width_mult": 1.0, "divisor": 8}),
    "rexnetr_130": Network(ReXNet, {"width_mult": 1.3, "divisor": 8}),
    "rexnetr_150": Network(ReXNet, {"width_mult": 1.5, "divisor": 8}),
    "rexnetr_200": Network(ReXNet, {"width_mult": 2.0, "divisor": 8}),
    "rexnetr_300": Network(ReXNet, {"width_mult": 3.0, "divisor": 16}),
}
