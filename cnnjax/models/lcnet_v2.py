"""PP-LCNetV2: separable convolutions for CPUs, whose depthwise branches are one when deployed.

PaddleClas's ppcls/arch/backbone/legendary_models/pp_lcnet_v2.py, as timm.models.lcnetv2 defines it.
(LCNet, the first version, is among the MobileNets.)
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    Conv,
    ConvNormAct,
    SqueezeExcite,
    classify,
    join_branches,
    kaiming_normal,
    relu,
    run,
    uniform,
)
from cnnjax.typing import Array, DType, Images, Variables

__all__ = ["NETWORKS", "LCNetV2", "SeparableBlock"]


class SeparableBlock(nn.Module):
    """A depthwise layer, attention if any, one 1x1 layer or two, a shortcut.

    With `parallel` the depthwise layer is a sum of normalized convolutions of `kernel_size`,
    `kernel_size - 2` and so on to 1x1, which is left out where it strides; with `deployed` too one
    convolution with a bias. `split`: two 1x1 layers, through half
    the width. The shortcut is there where the shape stays.
    """

    width: int
    kernel_size: int = 3
    strides: int = 1
    split: bool = False
    parallel: bool = False
    attention: Callable[..., nn.Module] | None = None
    shortcut: bool = False
    deployed: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        size, channels = self.kernel_size, x.shape[-1]
        layer = partial(ConvNormAct, dtype=self.dtype)
        depthwise = partial(layer, channels, strides=self.strides, groups=channels)
        if not self.parallel:
            y = depthwise(size, name="dw_conv")(x, train=train)
        elif self.deployed:
            convolution = Conv(
                channels,
                (size, size),
                self.strides,
                padding=size // 2,
                feature_group_count=channels,
                kernel_init=kaiming_normal,
                dtype=self.dtype,
                name="dw_conv",
            )
            y = relu(convolution(x))
        else:
            sizes = range(size, 0 if self.strides == 1 else 1, -2)
            branches = [
                depthwise(each, act=None, name=f"dw_conv_list.{index}")(x, train=train)
                for index, each in enumerate(sizes)
            ]
            y = relu(sum(branches[1:], branches[0]))
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="se")(y, train=train)
        if self.split:
            y = layer(self.width // 2, 1, name="pw_conv.0")(y, train=train)
            y = layer(self.width, 1, name="pw_conv.1")(y, train=train)
        else:
            y = layer(self.width, 1, name="pw_conv")(y, train=train)
        return x + y if self.shortcut and x.shape == y.shape else y


def _quarter(channels: int) -> int:
    return channels // 4


_SE = partial(SqueezeExcite, _quarter, kernel_init=kaiming_normal)

# Of each stage: width, kernel size, split, parallel, attention, shortcut.
_STAGES: tuple[tuple[Any, ...], ...] = (
    (128, 3, False, False, None, False),
    (256, 3, False, False, None, False),
    (512, 5, True, True, _SE, False),
    (1024, 5, False, True, None, True),
)


class LCNetV2(nn.Module):
    """A strided 3x3 layer, a block, four strided stages, pooling, a ReLU layer and a linear one.

    `width_mult` multiplies the channels; `hidden` is the width of the layer before the last.
    `deployed` is the fused form, which `cnnjax.fuse` makes.
    """

    width_mult: float
    depths: tuple[int, int, int, int]
    hidden: int = 1280
    deployed: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.nowrap
    def fused(self, variables: Variables) -> Variables:
        """Return the variables of the deployed form: what `cnnjax.fuse` takes."""
        return join_branches(variables, _place)

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        block = partial(SeparableBlock, deployed=self.deployed, dtype=self.dtype)
        width = round_width(32 * self.width_mult)
        x = ConvNormAct(width, 3, 2, dtype=self.dtype, name="stem.0")(images, train=train)
        x = block(round_width(64 * self.width_mult), name="stem.1")(x, train=train)
        stages = {"stem": x}
        for stage, (depth, (width, *fields)) in enumerate(zip(self.depths, _STAGES, strict=True)):
            size, split, parallel, attention, shortcut = fields
            for index in range(depth):
                module = block(
                    round_width(width * self.width_mult),
                    size,
                    2 if index == 0 else 1,
                    split=split,
                    parallel=parallel,
                    attention=attention,
                    shortcut=shortcut,
                    name=f"stages.{stage}.{index}",
                )
                x = run(module, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = relu(
            Conv(
                self.hidden,
                (1, 1),
                use_bias=False,
                kernel_init=kaiming_normal,
                dtype=self.dtype,
                name="conv_head",
            )(x)
        )
        logits, stages["pre_logits"] = classify(
            x[:, 0, 0],
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
        )
        return (logits, stages) if features else logits


def _place(part: str) -> str | None:
    """Return the convolution that a part of a `SeparableBlock` becomes a part of."""
    return "dw_conv" if part.startswith("dw_conv_list.") else None


NETWORKS = {
    "lcnetv2_small": Network(LCNetV2, {"width_mult": 0.75, "depths": (2, 2, 4, 2)}),
    "lcnetv2_base": Network(LCNetV2, {"width_mult": 1.0, "depths": (2, 2, 6, 2)}),
    "lcnetv2_large": Network(LCNetV2, {"width_mult": 1.25, "depths": (2, 2, 8, 2)}),
}
