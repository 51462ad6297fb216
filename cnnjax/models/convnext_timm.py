"""ConvNeXt as timm defines it: V2 with its response norm, and sizes of V1 that torchvision lacks.

V1: Liu et al. 2022 (arXiv:2201.03545), whose usual sizes are in `cnnjax.models.convnext`; V2: Woo
et al. 2023 (arXiv:2301.00808). As timm.models.convnext defines them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, LayerNorm, classify, drop_path, drop_path_rates, gelu, run, widen
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "GlobalResponseNorm", "ScaleNorm", "TimmConvNeXt", "TimmConvNeXtBlock"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)


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
    `variance` the unbiased variance in place of the mean square, though `x` is not centred.
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


_NORMS: dict[str, Callable[..., nn.Module]] = {
    "layer": LayerNorm,
    "rms": ScaleNorm,
    "deviation": partial(ScaleNorm, variance=True),
}


class TimmConvNeXtBlock(nn.Module):
    """A depthwise 7x7, a norm, two 1x1 layers with GELU, a shortcut.

    V2, `response`, has `GlobalResponseNorm` after the GELU; V1 scales each channel of the sum's
    second part, by 1e-6 at first. `dense` says how the 1x1 layers are stored: as `[C, 4C]` or as
    1x1 kernels.
    """

    dense: bool = True
    response: bool = False
    norm: Literal["layer", "rms", "deviation"] = "layer"
    epsilon: float = 1e-6
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
        y = _NORMS[self.norm](epsilon=self.epsilon, dtype=self.dtype, name="norm")(y, train=train)
        y = gelu(layer(4 * width, name="mlp.fc1")(y))
        if self.response:
            y = GlobalResponseNorm(name="mlp.grn")(y)
        y = layer(width, name="mlp.fc2")(y)
        if not self.response:
            gamma = self.param("gamma", nn.initializers.constant(1e-6), (width,), jnp.float32)
            y = y * gamma.reshape(1, 1, 1, width).astype(y.dtype)
        return x + drop_path(y, self.drop_path_rate, train=train)


class TimmConvNeXt(nn.Module):
    """A stem of stride 4, four stages with a 2x2 downsampling between, pooling, a linear layer.

    The stages have 1, 2, 4, 8 times `width` channels. The stem is one 4x4 convolution, or with
    `stem_width` two strided 3x3 ones with so many channels between, and with `stem_act` a GELU. A
    norm follows the pooling, or with `norm_first` precedes it; `hidden` is the width of a layer with
    GELU after that, 0 for none. `norm` is "layer" or a `ScaleNorm`: "rms", or "deviation" by the
    variance. `drop_path_rate` grows linearly from 0 at the first block to itself at the last.
    """

    depths: tuple[int, ...]
    width: int
    dense: bool = True
    response: bool = False
    stem_width: int = 0
    stem_act: bool = False
    norm: Literal["layer", "rms", "deviation"] = "layer"
    epsilon: float = 1e-6
    norm_first: bool = False
    hidden: int = 0
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
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_NORMS[self.norm], epsilon=self.epsilon, dtype=self.dtype)
        linear = partial(nn.Dense, dtype=self.dtype, kernel_init=_init)
        if self.stem_width:
            x = conv(self.stem_width, (3, 3), 2, padding=1, name="stem.0")(images)
            x = gelu(x) if self.stem_act else x
            second = 2 if self.stem_act else 1
            x = conv(self.width, (3, 3), 2, padding=1, name=f"stem.{second}")(x)
            x = norm(name=f"stem.{second + 1}")(x, train=train)
        else:
            x = conv(self.width, (4, 4), 4, padding=0, name="stem.0")(images)
            x = norm(name="stem.1")(x, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = norm(name=f"stages.{stage}.downsample.0")(x, train=train)
                x = conv(
                    self.width * 2**stage,
                    (2, 2),
                    2,
                    padding=0,
                    name=f"stages.{stage}.downsample.1",
                )(x)
            for index in range(depth):
                block = TimmConvNeXtBlock(
                    dense=self.dense,
                    response=self.response,
                    norm=self.norm,
                    epsilon=self.epsilon,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        if self.norm_first:
            x = ops.global_avg_pool(norm(name="norm_pre")(x, train=train))
        else:
            x = norm(name="head.norm")(ops.global_avg_pool(x), train=train)
        if self.hidden:
            x = gelu(linear(self.hidden, name="head.pre_logits.fc")(x))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


def _row(depths: tuple[int, ...], width: int, *row: Any, **fields: Any) -> Network:
    dense, input_size, parameters, gmacs, accuracy, weights = row
    return Network(
        TimmConvNeXt,
        {"depths": depths, "width": width, "dense": dense, **fields},
        parameters=parameters,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_v2 = partial(_row, response=True)
_FT, _FT22K = "fcmae_ft_in1k", "fcmae_ft_in22k_in1k_384"
_LAION = "clip_laion2b_soup_ft_in"

# fmt: off
NETWORKS = {
    # depths, width, dense, input size, parameters, 1e9 multiply-adds, published top-1, weights
    "convnext_zepto_rms": _row((2, 2, 4, 2), 32, False, 224, 2_155_656, 0.3021, 72.82, "ra4_e3600_r224_in1k", norm="deviation"),
    "convnext_zepto_rms_ols": _row((2, 2, 4, 2), 32, False, 224, 2_164_232, 0.3371, 73.234, "ra4_e3600_r224_in1k", norm="deviation", stem_width=32, stem_act=True),
    "convnext_atto": _row((2, 2, 6, 2), 40, False, 224, 3_695_520, 0.5473, 77.016, "d2_in1k"),
    "convnext_atto_ols": _row((2, 2, 6, 2), 40, False, 224, 3_702_912, 0.5765, 77.22, "a2_in1k", stem_width=24),
    "convnext_atto_rms": _row((2, 2, 6, 2), 40, False, 224, 3_693_040, 0.5473, None, None, norm="rms"),
    "convnext_femto": _row((2, 2, 6, 2), 48, False, 224, 5_217_784, 0.7796, 78.712, "d1_in1k"),
    "convnext_femto_ols": _row((2, 2, 6, 2), 48, False, 224, 5_226_520, 0.813, 78.916, "d1_in1k", stem_width=24),
    "convnext_pico": _row((2, 2, 6, 2), 64, False, 224, 9_045_672, 1.367, 80.426, "d1_in1k"),
    "convnext_pico_ols": _row((2, 2, 6, 2), 64, False, 224, 9_061_928, 1.426, 80.458, "d1_in1k", stem_width=32),
    "convnext_nano": _row((2, 2, 8, 2), 80, False, 224, 15_593_560, 2.446, 83.334, "r384_in12k_ft_in1k"),
    "convnext_nano_ols": _row((2, 2, 8, 2), 80, False, 224, 15_649_560, 2.641, 81.612, "d1h_in1k", stem_width=80),
    "convnext_tiny_hnf": _row((3, 3, 9, 3), 96, False, 224, 28_589_128, 4.456, 82.608, "a2h_in1k", norm_first=True),
    "convnext_large_mlp": _row((3, 3, 27, 3), 192, True, 320, 200_128_168, 70.126, 88.334, _LAION + "12k_in1k_384", hidden=1536),
    "convnext_xlarge": _row((3, 3, 27, 3), 256, True, 224, 350_196_968, 60.921, 87.764, "fb_in22k_ft_in1k_384"),
    "convnext_xxlarge": _row((3, 4, 30, 3), 384, True, 256, 846_471_016, 197.968, 88.622, _LAION + "1k", epsilon=1e-5),
    "convnextv2_atto": _v2((2, 2, 6, 2), 40, False, 224, 3_708_400, 0.5473, 77.794, _FT),
    "convnextv2_femto": _v2((2, 2, 6, 2), 48, False, 224, 5_233_240, 0.7796, 79.342, _FT),
    "convnextv2_pico": _v2((2, 2, 6, 2), 64, False, 224, 9_066_280, 1.367, 81.062, _FT),
    "convnextv2_nano": _v2((2, 2, 8, 2), 80, False, 224, 15_623_800, 2.446, 83.366, _FT22K),
    "convnextv2_tiny": _v2((3, 3, 9, 3), 96, True, 224, 28_635_496, 4.456, 85.098, _FT22K),
    "convnextv2_small": _v2((3, 3, 27, 3), 96, True, 224, 50_318_440, 8.684, None, None),
    "convnextv2_base": _v2((3, 3, 27, 3), 128, True, 224, 88_717_800, 15.355, 87.638, _FT22K),
    "convnextv2_large": _v2((3, 3, 27, 3), 192, True, 224, 197_956_840, 34.361, 88.18, _FT22K),
    "convnextv2_huge": _v2((3, 3, 27, 3), 352, True, 384, 660_289_640, 337.725, 88.86, "fcmae_ft_in22k_in1k_512"),
}
# fmt: on
