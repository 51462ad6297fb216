"""ConvNeXt: a residual network with the choices of vision transformers, and V2 with its response norm.

V1: Liu et al. 2022 (arXiv:2201.03545), as torchvision.models.convnext defines four sizes of it and
timm.models.convnext the others; V2: Woo et al. 2023 (arXiv:2301.00808). Names of variables are
timm's; `cnnjax.weights.names` has torchvision's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, LayerNorm, classify, drop_path, drop_path_rates, gelu, run, widen
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "NETWORKS",
    "ConvNeXt",
    "ConvNeXtBlock",
    "End",
    "GlobalResponseNorm",
    "OverlappingStem",
    "PatchStem",
    "ScaleNorm",
]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)
_norm = partial(LayerNorm, epsilon=1e-6)


class GlobalResponseNorm(nn.Module):
    """`x + scale * x * n + bias`, `n` the norm of a channel over the image by the mean channel's.

    Parameters `scale`, `bias`: `[C]`, both zero at first, so that it starts as the identity.
    """

    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.zeros_init(), channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), channels, jnp.float32)
        values = widen(x)
        squares = jnp.square(values).sum((1, 2), keepdims=True)
        # The root of 0 has no derivative: a channel that is 0 everywhere gets the gradient 0.
        norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
        relative = norm / (norm.mean(-1, keepdims=True) + self.epsilon)
        y = values * (1 + scale.reshape(1, 1, 1, -1) * relative) + bias.reshape(1, 1, 1, -1)
        return y.astype(x.dtype)


class ScaleNorm(nn.Module):
    """`scale * x / sqrt(s + epsilon)`, `s` the mean square of a position's channels, or its variance.

    LayerNorm without its shift: RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), or with
    `variance` the unbiased variance in place of the mean square, though `x` is not centered.
    Parameter `scale`: `[C]`. Computed in at least float32, returned as `dtype`.
    """

    variance: bool = False
    epsilon: float = 1e-6
    dtype: DType | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Scale `x` `[..., C]` by its last axis, whatever `train` is."""
        del train
        scale = self.param("scale", nn.initializers.ones_init(), (x.shape[-1],), jnp.float32)
        values = widen(x)
        if self.variance:
            size = values.var(-1, keepdims=True, ddof=1)
        else:
            size = jnp.square(values).mean(-1, keepdims=True)
        y = values * jax.lax.rsqrt(size + self.epsilon) * scale.reshape((1,) * (x.ndim - 1) + (-1,))
        return y.astype(self.dtype or x.dtype)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7, a norm, two 1x1 layers with GELU, a shortcut.

    V2, `response`, has `GlobalResponseNorm` after the GELU; V1 scales each channel of the sum's
    second part, by `layer_scale` at first. `dense` says how the 1x1 layers are stored: as `[C, 4C]`
    or as 1x1 kernels. `norm` is called with `dtype` and `name`.
    """

    dense: bool = True
    response: bool = False
    layer_scale: float = 1e-6
    norm: Callable[..., nn.Module] = _norm
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width = x.shape[-1]
        if self.dense:
            layer: Any = partial(nn.Dense, kernel_init=_init, dtype=self.dtype)
        else:
            layer = partial(_conv, kernel_size=(1, 1), dtype=self.dtype)
        y = _conv(
            width,
            (7, 7),
            padding=3,
            feature_group_count=width,
            dtype=self.dtype,
            name="conv_dw",
        )(x)
        y = self.norm(dtype=self.dtype, name="norm")(y, train=train)
        y = gelu(layer(4 * width, name="mlp.fc1")(y))
        if self.response:
            y = GlobalResponseNorm(name="mlp.grn")(y)
        y = layer(width, name="mlp.fc2")(y)
        if not self.response:
            start = nn.initializers.constant(self.layer_scale)
            gamma = self.param("gamma", start, (width,), jnp.float32)
            y = y * gamma.reshape(1, 1, 1, width).astype(y.dtype)
        return x + drop_path(y, self.drop_path_rate, train=train)


@dataclass(frozen=True)
class PatchStem:
    """One 4x4 convolution of stride 4, and a norm."""

    def __call__(
        self, x: Array, width: int, norm: Callable[..., nn.Module], *, train: bool, dtype: DType
    ) -> Array:
        """Map `[B, H, W, C]` to `[B, H / 4, W / 4, width]`, in a network's `__call__`."""
        x = _conv(width, (4, 4), 4, padding=0, dtype=dtype, name="stem.0")(x)
        return norm(name="stem.1")(x, train=train)


@dataclass(frozen=True)
class OverlappingStem:
    """Two 3x3 convolutions of stride 2, `inner` channels and `act` between, and a norm."""

    inner: int
    act: Activation | None = None

    def __call__(
        self, x: Array, width: int, norm: Callable[..., nn.Module], *, train: bool, dtype: DType
    ) -> Array:
        """Map `[B, H, W, C]` to `[B, H / 4, W / 4, width]`, in a network's `__call__`."""
        conv = partial(_conv, kernel_size=(3, 3), strides=2, padding=1, dtype=dtype)
        x = conv(self.inner, name="stem.0")(x)
        x, at = (x, 1) if self.act is None else (self.act(x), 2)
        x = conv(width, name=f"stem.{at}")(x)
        return norm(name=f"stem.{at + 1}")(x, train=train)


@dataclass(frozen=True)
class End:
    """What is between the stages and the last layer: pooling and a norm, which may be `norm_first`.

    `hidden` is the width of a layer with GELU after that, 0 for none.
    """

    norm_first: bool = False
    hidden: int = 0

    def __call__(
        self, x: Array, norm: Callable[..., nn.Module], *, train: bool, dtype: DType
    ) -> Array:
        """Map `[B, H, W, C]` to `[B, C]` or `[B, hidden]`, in a network's `__call__`."""
        if self.norm_first:
            x = ops.global_avg_pool(norm(name="norm_pre")(x, train=train))
        else:
            x = norm(name="head.norm")(ops.global_avg_pool(x), train=train)
        if not self.hidden:
            return x
        linear = nn.Dense(self.hidden, dtype=dtype, kernel_init=_init, name="head.pre_logits.fc")
        return gelu(linear(x))


class ConvNeXt(nn.Module):
    """A stem of stride 4, four stages with a 2x2 downsampling between, pooling, a linear layer.

    `block` is called with `norm`, `drop_path_rate`, `dtype` and `name`; `norm` with `dtype` and
    `name`, `stem` and `end` as those of this file are. `drop_path_rate` grows linearly from 0 at
    the first block to itself at the last.
    """

    # Eleven fields: half of them, from `num_classes` on, are those of nearly every network.
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    block: Callable[..., nn.Module] = ConvNeXtBlock
    stem: PatchStem | OverlappingStem = PatchStem()
    norm: Callable[..., nn.Module] = _norm
    end: End = End()
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" and "stage1" both have stride 4.
        """
        check_images(self, images, smallest=32)
        norm = partial(self.norm, dtype=self.dtype)
        x = self.stem(images, self.widths[0], norm, train=train, dtype=self.dtype)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage > 0:
                name = f"stages.{stage}.downsample"
                x = norm(name=f"{name}.0")(x, train=train)
                x = _conv(width, (2, 2), 2, padding=0, dtype=self.dtype, name=f"{name}.1")(x)
            for index in range(depth):
                block = self.block(
                    norm=self.norm,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            self.end(x, norm, train=train, dtype=self.dtype),
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


_rms, _deviation = ScaleNorm, partial(ScaleNorm, variance=True)

_CONV = partial(ConvNeXtBlock, dense=False)
_V2 = partial(ConvNeXtBlock, response=True)
_V2_CONV = partial(ConvNeXtBlock, response=True, dense=False)

# fmt: off
NETWORKS = {
    "convnext_tiny": Network(ConvNeXt, {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768), "drop_path_rate": 0.1}),
    "convnext_small": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (96, 192, 384, 768), "drop_path_rate": 0.4}),
    "convnext_base": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024), "drop_path_rate": 0.5}),
    "convnext_large": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536), "drop_path_rate": 0.5}),
    "convnext_zepto_rms": Network(ConvNeXt, {"depths": (2, 2, 4, 2), "widths": (32, 64, 128, 256), "block": _CONV, "norm": _deviation}),
    "convnext_zepto_rms_ols": Network(ConvNeXt, {"depths": (2, 2, 4, 2), "widths": (32, 64, 128, 256), "block": _CONV, "norm": _deviation, "stem": OverlappingStem(32, gelu)}),
    "convnext_atto": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320), "block": _CONV}),
    "convnext_atto_ols": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320), "block": _CONV, "stem": OverlappingStem(24)}),
    "convnext_atto_rms": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320), "block": _CONV, "norm": _rms}),
    "convnext_femto": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (48, 96, 192, 384), "block": _CONV}),
    "convnext_femto_ols": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (48, 96, 192, 384), "block": _CONV, "stem": OverlappingStem(24)}),
    "convnext_pico": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (64, 128, 256, 512), "block": _CONV}),
    "convnext_pico_ols": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (64, 128, 256, 512), "block": _CONV, "stem": OverlappingStem(32)}),
    "convnext_nano": Network(ConvNeXt, {"depths": (2, 2, 8, 2), "widths": (80, 160, 320, 640), "block": _CONV}),
    "convnext_nano_ols": Network(ConvNeXt, {"depths": (2, 2, 8, 2), "widths": (80, 160, 320, 640), "block": _CONV, "stem": OverlappingStem(80)}),
    "convnext_tiny_hnf": Network(ConvNeXt, {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768), "block": _CONV, "end": End(norm_first=True)}),
    "convnext_large_mlp": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536), "end": End(hidden=1536)}),
    "convnext_xlarge": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (256, 512, 1024, 2048)}),
    "convnext_xxlarge": Network(ConvNeXt, {"depths": (3, 4, 30, 3), "widths": (384, 768, 1536, 3072), "norm": partial(LayerNorm, epsilon=1e-5)}),
    "convnextv2_atto": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320), "block": _V2_CONV}),
    "convnextv2_femto": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (48, 96, 192, 384), "block": _V2_CONV}),
    "convnextv2_pico": Network(ConvNeXt, {"depths": (2, 2, 6, 2), "widths": (64, 128, 256, 512), "block": _V2_CONV}),
    "convnextv2_nano": Network(ConvNeXt, {"depths": (2, 2, 8, 2), "widths": (80, 160, 320, 640), "block": _V2_CONV}),
    "convnextv2_tiny": Network(ConvNeXt, {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768), "block": _V2}),
    "convnextv2_small": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (96, 192, 384, 768), "block": _V2}),
    "convnextv2_base": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024), "block": _V2}),
    "convnextv2_large": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536), "block": _V2}),
    "convnextv2_huge": Network(ConvNeXt, {"depths": (3, 3, 27, 3), "widths": (352, 704, 1408, 2816), "block": _V2}),
}
# fmt: on
