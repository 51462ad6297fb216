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

    `attention`, called with `dtype` and `name`, follows where it is not None; then with `residual`
    the input is added. Separable layers keep the width, so a 1x1 layer before them changes it.
    """

    width: int
    features: int
    layers: int
    separable: bool = False
    residual: bool = False
    attention: Callable[..., nn.Module] | None = None
    norm: Callable[..., nn.Module] = _batch_norm
    act: Activation | None = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        kind: Callable[..., nn.Module] = SeparableLayer if self.separable else ConvNormAct
        layer = partial(kind, norm=self.norm, act=self.act, dtype=self.dtype)
        pointwise = partial(
            ConvNormAct, kernel_size=1, norm=self.norm, act=self.act, dtype=self.dtype
        )
        outputs, y = [x], x
        if self.separable and x.shape[-1] != self.width:
            y = pointwise(self.width, name="conv_reduction")(x, train=train)
        for index in range(self.layers):
            y = layer(self.width, name=f"conv_mid.{index}")(y, train=train)
            outputs.append(y)
        y = jnp.concatenate(outputs, axis=-1)
        y = pointwise(self.features, name="conv_concat")(y, train=train)
        if self.attention is not None:
            y = self.attention(dtype=self.dtype, name="attn")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        return y + x if self.residual else y


class VoVNet(nn.Module):
    """Three 3x3 layers, four stages of blocks, global average pooling and a linear layer.

    `depths` counts the blocks of each stage, of `layers` layers; `widths` are the layers' and
    `features` the blocks' channels. `attention` is that of the last block of a stage; with
    `residual` all but a stage's first block add their input. `norm` is called with `dtype` and
    `name`; `act` None where it is an activation too. `drop_path_rate` grows linearly from 0 at
    the first block.
    """

    depths: tuple[int, ...]
    layers: int = 5
    stem: tuple[int, int, int] = (64, 64, 128)
    widths: tuple[int, ...] = (128, 160, 192, 224)
    features: tuple[int, ...] = (256, 512, 768, 1024)
    separable: bool = False
    residual: bool = False
    attention: Callable[..., nn.Module] | None = None
    norm: Callable[..., nn.Module] = _batch_norm
    act: Activation | None = relu
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
        settings: dict[str, Any] = {"norm": self.norm, "act": self.act, "dtype": self.dtype}
        kind: Callable[..., nn.Module] = SeparableLayer if self.separable else ConvNormAct
        layer = partial(kind, **settings)
        x = ConvNormAct(self.stem[0], strides=2, **settings, name="stem.0")(images, train=train)
        x = layer(self.stem[1], name="stem.1")(x, train=train)
        stages = {"stem": x}
        x = layer(self.stem[2], strides=2, name="stem.2")(x, train=train)
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = ops.max_pool(x, 3, strides=2, ceil_mode=True)
            for index in range(depth):
                block = OneShotAggregation(
                    self.widths[stage],
                    self.features[stage],
                    self.layers,
                    separable=self.separable,
                    residual=self.residual and index > 0,
                    attention=self.attention if index == depth - 1 else None,
                    drop_path_rate=rates[stage][index],
                    **settings,
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


_ESE: dict[str, Any] = {"residual": True, "attention": EffectiveSqueezeExcite}
_ECA: dict[str, Any] = {"residual": True, "attention": EfficientChannelAttention}
_SLIM: dict[str, Any] = {"widths": (64, 80, 96, 112), "features": (112, 256, 384, 512)}
_SEPARABLE: dict[str, Any] = {"separable": True, "stem": (64, 64, 64)}
_EVO: dict[str, Any] = {"norm": EvoNormS0, "act": None}

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
