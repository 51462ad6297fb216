"""MobileOne: separable convolutions with parallel branches in training, single when deployed.

Vasu et al. 2022 (arXiv:2206.04040), as timm.models.byobnet defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    classify,
    grouped,
    join_branches,
    kaiming_normal,
    relu,
    run,
)
from cnnjax.typing import Array, DType, Images, Variables

__all__ = ["NETWORKS", "MobileOne", "MobileOneBlock"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class MobileOneBlock(nn.Module):
    """`branches` parallel layers, a 1x1 one beside larger ones, a normalized identity; their sum.

    The identity is there where the shape stays. With `attention` a squeeze-excite comes before the
    ReLU. With `deployed`, one convolution with a bias.
    """

    width: int
    kernel_size: int = 3
    strides: int = 1
    groups: int = 1
    branches: int = 1
    attention: bool = False
    deployed: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        size = self.kernel_size
        init = grouped(self.groups)
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
        if self.deployed:
            y = Conv(
                self.width,
                (size, size),
                self.strides,
                padding=size // 2,
                feature_group_count=self.groups,
                kernel_init=init,
                dtype=self.dtype,
                name="reparam_conv",
            )(x)
        else:
            y = layer(kernel_size=size, name="conv_kxk.0")(x, train=train)
            for index in range(1, self.branches):
                y = y + layer(kernel_size=size, name=f"conv_kxk.{index}")(x, train=train)
            if size > 1:
                y = y + layer(kernel_size=1, name="conv_scale")(x, train=train)
            if x.shape == y.shape:
                y = y + _norm(dtype=self.dtype, name="identity")(x, train=train)
        if self.attention:
            y = SqueezeExcite(
                self.width // 16, kernel_init=kaiming_normal, dtype=self.dtype, name="attn"
            )(y, train=train)
        return relu(y)


class MobileOne(nn.Module):
    """A strided block, four strided stages of depthwise 3x3 and 1x1 blocks, pooling, a linear layer.

    `attentions` counts the last pairs of blocks of each stage that have squeeze-excite. `deployed`
    is the fused form, which `cnnjax.fuse` makes.
    """

    widths: tuple[int, ...]
    stem_width: int = 64
    branches: int = 1
    attentions: tuple[int, ...] = (0, 0, 0, 0)
    depths: tuple[int, ...] = (2, 8, 10, 1)
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
        layer = partial(MobileOneBlock, deployed=self.deployed, dtype=self.dtype)
        x = layer(self.stem_width, 3, 2, name="stem")(images, train=train)
        stages = {"stem": x}
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                block = partial(
                    layer,
                    branches=self.branches,
                    attention=index >= depth - self.attentions[stage],
                )
                depthwise = block(
                    x.shape[-1],
                    3,
                    2 if index == 0 else 1,
                    groups=x.shape[-1],
                    name=f"stages.{stage}.{2 * index}",
                )
                x = run(depthwise, x, train=train, remat=self.remat)
                pointwise = block(width, 1, name=f"stages.{stage}.{2 * index + 1}")
                x = run(pointwise, x, train=train, remat=self.remat)
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
    """Return the convolution that a part of a `MobileOneBlock` becomes a part of."""
    return "reparam_conv" if part == "identity" or part.startswith("conv_") else None


# fmt: off
NETWORKS = {
    "mobileone_s0": Network(MobileOne, {"widths": (48, 128, 256, 1024), "stem_width": 48, "branches": 4}),
    "mobileone_s1": Network(MobileOne, {"widths": (96, 192, 512, 1280)}),
    "mobileone_s2": Network(MobileOne, {"widths": (96, 256, 640, 2048)}),
    "mobileone_s3": Network(MobileOne, {"widths": (128, 320, 768, 2048)}),
    "mobileone_s4": Network(MobileOne, {"widths": (192, 448, 896, 2048), "attentions": (0, 0, 5, 1)}),
}
# fmt: on
