"""VoVNet: every block aggregates the outputs of all of its layers, once, at its end.

Lee et al. 2019 (arXiv:1904.09730); Lee and Park 2020 (arXiv:1911.06667): the "b" networks have
residual blocks and effective squeeze-excite. As timm.models.vovnet defines them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    EffectiveSqueezeExcite,
    EfficientChannelAttention,
    classify,
    drop_path,
    drop_path_rates,
    kaiming_normal,
    relu,
    run,
    sigmoid,
    uniform,
    widen,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "NETWORKS",
    "EvoNormS0",
    "OneShotAggregation",
    "SeparableLayer",
    "VoVNet",
]

_batch_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class EvoNormS0(nn.Module):
    """Norm and activation in one, without a batch: `scale * x * sigmoid(v * x) / std(x) + bias`.

    The standard deviation is that of an image over a group of its channels (Liu et al. 2020,
    arXiv:2004.02967). Parameters `scale`, `v`, `bias`: `[C]`.
    """

    groups: int = 32
    epsilon: float = 1e-5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]`, `groups` a divisor of C, to the same shape, whatever `train` is."""
        channels, ones = (x.shape[-1],), nn.initializers.ones_init()
        scale = self.param("scale", ones, channels, jnp.float32)
        v = self.param("v", ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), channels, jnp.float32)
        values = widen(x)
        grouped = values.reshape(*x.shape[:3], self.groups, -1)
        std = jnp.sqrt(grouped.var((1, 2, 4), keepdims=True) + self.epsilon)
        scale, v, bias = (each.reshape(1, 1, 1, -1) for each in (scale, v, bias))
        y = sigmoid(values * v).reshape(grouped.shape) * grouped / std
        return (y.reshape(x.shape) * scale + bias).astype(self.dtype)


class SeparableLayer(nn.Module):
    """A depthwise 3x3 and a 1x1 convolution, then `norm` and `act`."""

    features: int
    strides: int = 1
    norm: Callable[..., nn.Module] = _batch_norm
    act: Activation | None = relu
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal, dtype=self.dtype)
        width = x.shape[-1]
        x = conv(width, (3, 3), self.strides, padding=1, feature_group_count=width, name="conv_dw")(
            x
        )
        x = conv(self.features, (1, 1), name="conv_pw")(x)
        x = self.norm(dtype=self.dtype, name="bn")(x, train=train)
        return x if self.act is None else self.act(x)


class OneShotAggregation(nn.Module):
    """`layers` 3x3 layers in a row; a 1x1 layer joins the outputs of all and the input.

    `layer`, called with a width, `dtype` and `name`, is what follows one another, and `pointwise`
    what joins. `attention`, called with `dtype` and `name`, follows where it is not None; then with
    `residual` the input is added. Separable layers keep the width, so a 1x1 layer before them
    changes it.
    """

    width: int
    features: int
    layers: int
    layer: Callable[..., nn.Module] = ConvNormAct
    pointwise: Callable[..., nn.Module] = ConvNormAct
    residual: bool = False
    attention: Callable[..., nn.Module] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        pointwise = partial(self.pointwise, kernel_size=1, dtype=self.dtype)
        outputs, y = [x], x
        if self.layer is SeparableLayer and x.shape[-1] != self.width:
            y = pointwise(self.width, name="conv_reduction")(x, train=train)
        for index in range(self.layers):
            y = self.layer(self.width, dtype=self.dtype, name=f"conv_mid.{index}")(y, train=train)
            outputs.append(y)
        y = jnp.concatenate(outputs, axis=-1)
        y = pointwise(self.features, name="conv_concat")(y, train=train)
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="attn")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        return y + x if self.residual else y


class VoVNet(nn.Module):
    """Three 3x3 layers, four stages of blocks, global average pooling and a linear layer.

    `depths` counts the blocks of each stage, of `layers` layers; `widths` are the channels of a
    stage's layers and of its blocks. With `attention`, which the last block of a stage has, all but
    a stage's first block add their input. `layer` and `pointwise` are those of the blocks, and
    `stem` the channels of the last layer before them, after two of 64. `drop_path_rate` grows
    linearly from 0 at the first block.
    """

    # Twelve fields: seven are the architecture's, five every network has.
    depths: tuple[int, ...]
    layers: int = 5
    widths: tuple[tuple[int, int], ...] = ((128, 256), (160, 512), (192, 768), (224, 1024))
    stem: int = 128
    layer: Callable[..., nn.Module] = ConvNormAct
    pointwise: Callable[..., nn.Module] = ConvNormAct
    attention: Callable[..., nn.Module] | None = None
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

        The stem is what its first two layers give, at stride 2; stage i has stride `2**(i + 1)`.
        """
        check_images(self, images)
        layer, pointwise = (partial(f, dtype=self.dtype) for f in (self.layer, self.pointwise))
        x = pointwise(64, strides=2, name="stem.0")(images, train=train)
        x = layer(64, name="stem.1")(x, train=train)
        stages = {"stem": x}
        x = layer(self.stem, strides=2, name="stem.2")(x, train=train)
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = ops.max_pool(x, 3, strides=2, ceil_mode=True)
            for index in range(depth):
                block = OneShotAggregation(
                    *self.widths[stage],
                    self.layers,
                    self.layer,
                    self.pointwise,
                    residual=self.attention is not None and index > 0,
                    attention=self.attention if index == depth - 1 else None,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
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
            kernel_init=uniform,
        )
        return (logits, stages) if features else logits


_ESE: dict[str, Any] = {"attention": EffectiveSqueezeExcite}
_ECA: dict[str, Any] = {"attention": EfficientChannelAttention}
_SLIM: dict[str, Any] = {"widths": ((64, 112), (80, 256), (96, 384), (112, 512))}
_SEPARABLE: dict[str, Any] = {"layer": SeparableLayer, "stem": 64}
_EVO: dict[str, Any] = dict.fromkeys(
    ("layer", "pointwise"), partial(ConvNormAct, norm=EvoNormS0, act=None)
)

# fmt: off
NETWORKS = {
    "vovnet39a": Network(VoVNet, {"depths": (1, 1, 2, 2)}),
    "vovnet57a": Network(VoVNet, {"depths": (1, 1, 4, 3)}),
    "ese_vovnet19b_slim_dw": Network(VoVNet, {"depths": (1, 1, 1, 1), "layers": 3, **_ESE, **_SLIM, **_SEPARABLE}),
    "ese_vovnet19b_dw": Network(VoVNet, {"depths": (1, 1, 1, 1), "layers": 3, **_ESE, **_SEPARABLE}),
    "ese_vovnet19b_slim": Network(VoVNet, {"depths": (1, 1, 1, 1), "layers": 3, **_ESE, **_SLIM}),
    "ese_vovnet39b": Network(VoVNet, {"depths": (1, 1, 2, 2), **_ESE}),
    "ese_vovnet57b": Network(VoVNet, {"depths": (1, 1, 4, 3), **_ESE}),
    "ese_vovnet99b": Network(VoVNet, {"depths": (1, 3, 9, 3), **_ESE}),
    "eca_vovnet39b": Network(VoVNet, {"depths": (1, 1, 2, 2), **_ECA}),
    "ese_vovnet39b_evos": Network(VoVNet, {"depths": (1, 1, 2, 2), **_ESE, **_EVO}),
}
# fmt: on
