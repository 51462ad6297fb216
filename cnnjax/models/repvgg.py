"""RepVGG: three parallel branches in training, one 3x3 convolution when deployed.

Ding et al. 2021 (arXiv:2101.03697), as timm.models.byobnet defines it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    classify,
    drop_path,
    drop_path_rates,
    grouped,
    join_branches,
    kaiming_normal,
    relu,
    run,
)
from cnnjax.typing import Array, DType, Images, Variables

__all__ = ["NETWORKS", "RepVGG", "RepVGGBlock"]


def _scale_init(key: Array, shape: tuple[int, ...], dtype: DType = jnp.float32) -> Array:
    return 0.1 + 0.1 * jax.random.normal(key, shape, dtype)


_norm = partial(
    BatchNorm,
    momentum=0.9,
    epsilon=1e-5,
    scale_init=_scale_init,
    bias_init=nn.initializers.normal(0.1),
)


class RepVGGBlock(nn.Module):
    """`relu(bn(conv3x3(x)) + bn(conv1x1(x)) + bn(x))`, the last where the shape stays.

    `attention`, one of `cnnjax.nn.attention`, comes before the ReLU. With `deployed`, one 3x3
    convolution with a bias.
    """

    width: int
    strides: int = 1
    groups: int = 1
    attention: Callable[..., nn.Module] | None = None
    deployed: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        init = grouped(self.groups)
        if self.deployed:
            y = Conv(
                self.width,
                (3, 3),
                self.strides,
                padding=1,
                feature_group_count=self.groups,
                kernel_init=init,
                dtype=self.dtype,
                name="reparam_conv",
            )(x)
        else:
            layer = partial(
                ConvNormAct,
                self.width,
                strides=self.strides,
                groups=self.groups,
                norm=_norm,
                act=None,
                kernel_init=init,
                dtype=self.dtype,
            )
            y = layer(kernel_size=1, name="conv_1x1")(x, train=train)
            y = y + layer(kernel_size=3, name="conv_kxk")(x, train=train)
            if x.shape == y.shape:
                y = drop_path(y, self.drop_path_rate, train=train)
                y = y + _norm(dtype=self.dtype, name="identity")(x, train=train)
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="attn")(y, train=train)
        return relu(y)


class RepVGG(nn.Module):
    """A strided block, four strided stages of `RepVGGBlock`, pooling and a linear layer.

    The first block has the width of the first stage, at most 64. Every second block of a stage has
    `groups` groups, every block of all `attention`. `deployed` is the fused form, which
    `cnnjax.fuse` makes. `drop_path_rate` grows linearly from 0 at the first block to itself at the
    last.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    groups: int = 1
    attention: Callable[..., nn.Module] | None = None
    deployed: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
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
        layer = partial(
            RepVGGBlock, attention=self.attention, deployed=self.deployed, dtype=self.dtype
        )
        x = layer(min(64, self.widths[0]), 2, name="stem")(images, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                block = layer(
                    width,
                    strides=2 if index == 0 else 1,
                    groups=self.groups if index % 2 else 1,
                    drop_path_rate=rates[stage][index],
                    name=f"stages.{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, stages) if features else logits


def _place(part: str) -> str | None:
    """Return the convolution that a part of a `RepVGGBlock` becomes a part of."""
    return "reparam_conv" if part == "identity" or part.startswith("conv_") else None


def _sixteenth(channels: int) -> int:
    return channels // 16


def _a(widths: tuple[int, ...]) -> dict[str, Any]:
    return {"depths": (2, 4, 14, 1), "widths": widths}


def _b(widths: tuple[int, ...], groups: int = 1) -> dict[str, Any]:
    return {"depths": (4, 6, 16, 1), "widths": widths, "groups": groups}


_D2SE: dict[str, Any] = {
    "depths": (8, 14, 24, 1),
    "widths": (160, 320, 640, 2560),
    "attention": partial(SqueezeExcite, _sixteenth, kernel_init=kaiming_normal),
}

NETWORKS = {
    "repvgg_a0": Network(RepVGG, _a((48, 96, 192, 1280))),
    "repvgg_a1": Network(RepVGG, _a((64, 128, 256, 1280))),
    "repvgg_a2": Network(RepVGG, _a((96, 192, 384, 1408))),
    "repvgg_b0": Network(RepVGG, _b((64, 128, 256, 1280))),
    "repvgg_b1": Network(RepVGG, _b((128, 256, 512, 2048))),
    "repvgg_b1g4": Network(RepVGG, _b((128, 256, 512, 2048), 4)),
    "repvgg_b2": Network(RepVGG, _b((160, 320, 640, 2560))),
    "repvgg_b2g4": Network(RepVGG, _b((160, 320, 640, 2560), 4)),
    "repvgg_b3": Network(RepVGG, _b((192, 384, 768, 2560))),
    "repvgg_b3g4": Network(RepVGG, _b((192, 384, 768, 2560), 4)),
    "repvgg_d2se": Network(RepVGG, _D2SE),
}
