"""RepViT: a mobile network laid out like a vision transformer, of convolutions alone.

Wang et al. 2023 (arXiv:2307.09283), as timm.models.repvit defines it: a depthwise layer mixes
positions, a pair of 1x1 layers mixes channels. Norms and parallel branches go when it is deployed.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    affine,
    gelu,
    run,
    uniform,
    uniform_bias,
    widen,
)
from cnnjax.typing import Array, DType, Images, Variables

__all__ = ["NETWORKS", "ChannelMixer", "RepViT", "RepViTBlock", "TokenMixer"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, norm=_norm, act=None, kernel_init=uniform, names=("c", "bn"))
_linear_init = nn.initializers.normal(0.02)


class TokenMixer(nn.Module):
    """`bn(bn(dw3x3(x)) + dw1x1(x) + x)`; the first size of network has `bn(dw1x1(x))`, no outer norm.

    With `deployed`, one depthwise 3x3 convolution with a bias.
    """

    outer_norm: bool = True
    deployed: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width = x.shape[-1]
        layer = partial(_layer, width, groups=width, dtype=self.dtype)
        if self.deployed:
            return layer(3, norm=None, name="conv")(x, train=train)
        y = layer(3, name="conv")(x, train=train) + x
        if not self.outer_norm:
            return y + layer(1, name="conv1")(x, train=train)
        y = y + Conv(
            width,
            (1, 1),
            feature_group_count=width,
            kernel_init=uniform,
            bias_init=uniform_bias(1),
            dtype=self.dtype,
            name="conv1",
        )(x)
        return _norm(dtype=self.dtype, name="bn")(y, train=train)


class ChannelMixer(nn.Module):
    """`x + bn(W2 gelu(bn(W1 x)))` through twice the channels; it starts as the identity."""

    deployed: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, layer = x.shape[-1], partial(_layer, kernel_size=1, dtype=self.dtype)
        zero = partial(_norm, scale_init=nn.initializers.zeros_init())
        first, last = (None, None) if self.deployed else (_norm, zero)
        y = gelu(layer(2 * width, norm=first, name="conv1")(x, train=train))
        return x + layer(width, norm=last, name="conv2")(y, train=train)


class RepViTBlock(nn.Module):
    """A `TokenMixer`, with `squeeze` squeeze-excite through about a quarter, a `ChannelMixer`."""

    squeeze: bool = False
    outer_norm: bool = True
    deployed: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        form = {"deployed": self.deployed, "dtype": self.dtype}
        x = TokenMixer(self.outer_norm, name="token_mixer", **form)(x, train=train)
        if self.squeeze:
            squeezed = round_width(x.shape[-1] / 4)
            x = SqueezeExcite(squeezed, bias_init=uniform_bias, dtype=self.dtype, name="se")(
                x, train=train
            )
        return ChannelMixer(name="channel_mixer", **form)(x, train=train)


class RepViT(nn.Module):
    """Two strided 3x3 layers, four stages of `RepViTBlock`, pooling, the mean of two classifiers.

    Between stages a block, a strided depthwise 3x3, a 1x1 layer and a `ChannelMixer`. Every second
    block of a stage, the first too, has squeeze-excite. A classifier is a norm and a linear layer;
    the second is there to learn from another network. `outer_norm` is that of `TokenMixer`.
    `deployed` is the fused form, which `cnnjax.fuse` makes.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    outer_norm: bool = True
    deployed: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.nowrap
    def fused(self, variables: Variables) -> Variables:
        """Return the variables of the deployed form: what `cnnjax.fuse` takes.

        A norm goes into the layer before it, or into the linear layer after it, and a token mixer's
        branches are added as 3x3 kernels; the two classifiers become their mean.
        """
        params, statistics = variables["params"], variables["batch_stats"]
        fused = {
            name: _fuse(value, statistics.get(name, {}))
            for name, value in params.items()
            if not name.startswith("head.")
        }
        kernels, biases = [], []
        for name in ("head.head", "head.head_dist"):
            factor, shift = affine(params[f"{name}.bn"], statistics[f"{name}.bn"])
            kernel, bias = params[f"{name}.l"]["kernel"], params[f"{name}.l"]["bias"]
            kernels.append(factor[:, None] * kernel)
            biases.append(shift @ kernel + bias)
        fused["head.l"] = {"kernel": sum(kernels) / 2, "bias": sum(biases) / 2}
        return {"params": fused}

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" and "stage1" both have stride 4.
        """
        check_images(self, images)
        form = {"deployed": self.deployed, "dtype": self.dtype}
        norm = None if self.deployed else _norm
        layer = partial(_layer, norm=norm, dtype=self.dtype)
        x = gelu(layer(self.widths[0] // 2, 3, 2, name="stem.conv1")(images, train=train))
        x = layer(self.widths[0], 3, 2, name="stem.conv2")(x, train=train)
        stages = {"stem": x}
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage > 0:
                name, before = f"stages.{stage}.downsample", x.shape[-1]
                block = RepViTBlock(False, self.outer_norm, name=f"{name}.pre_block", **form)
                x = run(block, x, train=train, remat=self.remat)
                x = layer(before, 3, 2, groups=before, name=f"{name}.spatial_downsample")(
                    x, train=train
                )
                x = layer(width, 1, name=f"{name}.channel_downsample")(x, train=train)
                x = ChannelMixer(name=f"{name}.ffn", **form)(x, train=train)
            for index in range(depth):
                squeeze = index % 2 == 0
                name = f"stages.{stage}.blocks.{index}"
                block = RepViTBlock(squeeze, self.outer_norm, name=name, **form)
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = stages["pre_logits"] = ops.global_avg_pool(x)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        linear = partial(nn.Dense, self.num_classes, kernel_init=_linear_init, dtype=self.dtype)
        if self.deployed:
            logits = linear(name="head.l")(x)
        else:
            heads = [
                linear(name=f"{name}.l")(_norm(dtype=self.dtype, name=f"{name}.bn")(x, train=train))
                for name in ("head.head", "head.head_dist")
            ]
            logits = (heads[0] + heads[1]) / 2
        logits = widen(logits)
        return (logits, stages) if features else logits


def _fuse(params: Any, statistics: Any) -> Any:
    if "c" in params:
        factor, shift = affine(params["bn"], statistics["bn"])
        kernel = params["c"]["kernel"] * factor.reshape(1, 1, 1, -1)
        return {"c": {"kernel": kernel, "bias": shift}}
    if "conv" in params:
        return _fuse_mixer(params, statistics)
    return {
        name: _fuse(value, statistics.get(name, {})) if isinstance(value, dict) else value
        for name, value in params.items()
    }


def _fuse_mixer(params: Any, statistics: Any) -> Any:
    large = _fuse(params["conv"], statistics["conv"])["c"]
    small = params["conv1"]
    if "bn" not in params:
        small = _fuse(small, statistics["conv1"])["c"]
    # The 1x1 kernel and the identity lie in the middle of the 3x3 one.
    kernel = large["kernel"].at[1, 1].add(small["kernel"][0, 0] + 1)
    bias = large["bias"] + small["bias"]
    if "bn" in params:
        factor, shift = affine(params["bn"], statistics["bn"])
        kernel, bias = kernel * factor.reshape(1, 1, 1, -1), bias * factor + shift
    return {"conv": {"c": {"kernel": kernel, "bias": bias}}}


# fmt: off
NETWORKS = {
    "repvit_m0_9": Network(RepViT, {"widths": (48, 96, 192, 384), "depths": (2, 2, 14, 2)}),
    "repvit_m1_0": Network(RepViT, {"widths": (56, 112, 224, 448), "depths": (2, 2, 14, 2)}),
    "repvit_m1_1": Network(RepViT, {"widths": (64, 128, 256, 512), "depths": (2, 2, 12, 2)}),
    "repvit_m1_5": Network(RepViT, {"widths": (64, 128, 256, 512), "depths": (4, 4, 24, 4)}),
    "repvit_m2_3": Network(RepViT, {"widths": (80, 160, 320, 640), "depths": (6, 6, 34, 2)}),
    "repvit_m1": Network(RepViT, {"widths": (48, 96, 192, 384), "depths": (2, 2, 14, 2), "outer_norm": False}),
    "repvit_m2": Network(RepViT, {"widths": (64, 128, 256, 512), "depths": (2, 2, 12, 2), "outer_norm": False}),
    "repvit_m3": Network(RepViT, {"widths": (64, 128, 256, 512), "depths": (4, 4, 18, 2), "outer_norm": False}),
}
# fmt: on
