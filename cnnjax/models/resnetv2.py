"""Pre-activation residual networks for large images, and Big Transfer (BiT).

He et al. 2016, "Identity Mappings" (arXiv:1603.05027); Kolesnikov et al. 2020 (arXiv:1912.11370),
whose convolutions have standardised kernels (Qiao et al. 2019, arXiv:1903.10520) and whose norms
are over groups. As timm.models.resnetv2 defines them: the stride is in the 3x3 convolution.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    GroupNorm,
    averaged,
    classify,
    drop_path,
    drop_path_rates,
    kaiming_normal,
    relu,
    run,
)
from cnnjax.typing import Array, DType, Images

__all__ = [
    "NETWORKS",
    "BigTransfer",
    "PreActivationBasic",
    "PreActivationBottleneck",
    "ResNetV2",
    "StandardisedConv",
]


class StandardisedConv(nn.Module):
    """A convolution whose kernel has mean 0 and variance 1 over each output's inputs.

    Parameter `kernel` `[kh, kw, C, features]` is stored as it is and standardised at every call:
    `(kernel - mean) / sqrt(var + epsilon)`.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: int = 1
    padding: int = 0
    epsilon: float = 1e-8
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H', W', features]`."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", kaiming_normal, shape, jnp.float32)
        centered = kernel - kernel.mean((0, 1, 2), keepdims=True)
        var = jnp.square(centered).mean((0, 1, 2), keepdims=True)
        kernel = centered * jax.lax.rsqrt(var + self.epsilon)
        return ops.conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.strides,
            padding=self.padding,
        )


def _batch_norm(x: Array, *, name: str, train: bool, dtype: DType) -> Array:
    x = BatchNorm(momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)(x, train=train)
    return relu(x)


def _group_norm(x: Array, *, name: str, train: bool, dtype: DType) -> Array:
    return relu(GroupNorm(32, epsilon=1e-5, dtype=dtype, name=name)(x, train=train))


def _project(
    x: Array, features: int, strides: int, *, average: bool, conv: Callable[..., nn.Module]
) -> Array:
    """Project a shortcut by a 1x1 convolution; with `average` a 2x2 mean takes the stride."""
    if average:
        x = averaged(x, strides)
    return conv(
        features=features,
        kernel_size=(1, 1),
        strides=1 if average else strides,
        padding=0,
        name="downsample.conv",
    )(x)


_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)


class PreActivationBasic(nn.Module):
    """Norm and ReLU before each of two 3x3 convolutions, the first strided, and a shortcut.

    A shortcut that changes shape is as in `PreActivationBottleneck`, whose fields these are too.
    """

    width: int
    strides: int = 1
    average: bool = False
    conv: Callable[..., nn.Module] = _conv
    norm: Callable[..., Array] = _batch_norm
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(self.conv, dtype=self.dtype)
        norm = partial(self.norm, train=train, dtype=self.dtype)
        layer = partial(conv, features=self.width, kernel_size=(3, 3), padding=1)
        y, shortcut = norm(x, name="norm1"), x
        if x.shape[-1] != self.width or self.strides > 1:
            shortcut = _project(y, self.width, self.strides, average=self.average, conv=conv)
        y = layer(strides=self.strides, name="conv1")(y)
        y = layer(name="conv2")(norm(y, name="norm2"))
        return shortcut + drop_path(y, self.drop_path_rate, train=train)


class PreActivationBottleneck(nn.Module):
    """Norm and ReLU before each of a 1x1, a 3x3 (strided) and a 1x1 convolution, and a shortcut.

    A shortcut that changes shape is convolved, after the first ReLU; with `average` a 2x2 mean
    takes its stride. `conv` is called with `features`, `kernel_size`, `strides`, `padding`, `dtype`
    and `name`; `norm` is as in `ResNetV2`.
    """

    width: int
    strides: int = 1
    average: bool = False
    conv: Callable[..., nn.Module] = _conv
    norm: Callable[..., Array] = _batch_norm
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv = partial(self.conv, dtype=self.dtype)
        norm = partial(self.norm, train=train, dtype=self.dtype)
        inner, outer, strides, shortcut = self.width, 4 * self.width, self.strides, x
        y = norm(x, name="norm1")
        if x.shape[-1] != outer or strides > 1:
            shortcut = _project(y, outer, strides, average=self.average, conv=conv)
        y = conv(features=inner, kernel_size=(1, 1), padding=0, name="conv1")(y)
        y = norm(y, name="norm2")
        y = conv(features=inner, kernel_size=(3, 3), strides=strides, padding=1, name="conv2")(y)
        y = norm(y, name="norm3")
        y = conv(features=outer, kernel_size=(1, 1), padding=0, name="conv3")(y)
        return shortcut + drop_path(y, self.drop_path_rate, train=train)


class _PreActivation(nn.Module):
    """What both families share: four stages of blocks, a norm, pooling and a 1x1 convolution."""

    depths: tuple[int, ...]
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    def _rest(
        self,
        stages: dict[str, Array],
        x: Array,
        width: int,
        block: Callable[..., nn.Module],
        norm: Callable[..., Array],
        *,
        train: bool,
    ) -> tuple[Array, dict[str, Array]]:
        """Return logits and stages of what the stem and its maximum give."""
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                made = block(
                    width=width * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(made, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = norm(x, name="norm", train=train, dtype=self.dtype)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
            pointwise=True,
        )
        return logits, stages


class ResNetV2(_PreActivation):
    """A stem and a maximum before four stages of pre-activation blocks.

    `block` is called with `width`, `strides`, `average`, `norm`, `drop_path_rate`, `dtype` and
    `name`; `depths` counts the blocks of each stage. `norm` is a function of an array, `name`,
    `train` and `dtype` that normalizes and activates. `stem` has the widths of the first two of
    three 3x3 convolutions, and then means take the strides of shortcuts; None is one 7x7.
    `drop_path_rate` grows linearly from 0 at the first block to itself at the last.
    """

    block: Callable[..., nn.Module] = PreActivationBottleneck
    norm: Callable[..., Array] = _batch_norm
    stem: tuple[int, int] | None = None

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(self.norm, train=train, dtype=self.dtype)
        if self.stem is None:
            x = conv(64, (7, 7), strides=2, padding=3, name="stem.conv")(images)
        else:
            layer = partial(conv, kernel_size=(3, 3), padding=1)
            x = layer(self.stem[0], strides=2, name="stem.conv1")(images)
            x = layer(self.stem[1], name="stem.conv2")(norm(x, name="stem.norm1"))
            x = layer(64, name="stem.conv3")(norm(x, name="stem.norm2"))
        block = partial(self.block, average=self.stem is not None, norm=self.norm)
        pooled = ops.max_pool(x, 3, strides=2, padding=1)
        logits, stages = self._rest({"stem": x}, pooled, 64, block, self.norm, train=train)
        return (logits, stages) if features else logits


class BigTransfer(_PreActivation):
    """BiT: bottlenecks of standardised kernels and norms over groups, `width_factor` times as wide.

    The maximum behind the 7x7 stem is over zeros too.
    """

    width_factor: int = 1

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        width = 64 * self.width_factor
        stem = StandardisedConv(width, (7, 7), 2, 3, dtype=self.dtype, name="stem.conv")
        x = stem(images)
        pooled = ops.max_pool(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), 3, strides=2)
        block = partial(PreActivationBottleneck, conv=StandardisedConv, norm=_group_norm)
        logits, stages = self._rest({"stem": x}, pooled, width, block, _group_norm, train=train)
        return (logits, stages) if features else logits


_D: dict[str, Any] = {"stem": (32, 32)}
_T: dict[str, Any] = {"stem": (24, 32)}
_BASIC: dict[str, Any] = {"block": PreActivationBasic}
_18, _34 = (2, 2, 2, 2), (3, 4, 6, 3)
_50, _101, _152 = (3, 4, 6, 3), (3, 4, 23, 3), (3, 8, 36, 3)

NETWORKS = {
    "resnetv2_18": Network(ResNetV2, {**_BASIC, "depths": _18}),
    "resnetv2_18d": Network(ResNetV2, {**_BASIC, **_D, "depths": _18}),
    "resnetv2_34": Network(ResNetV2, {**_BASIC, "depths": _34}),
    "resnetv2_34d": Network(ResNetV2, {**_BASIC, **_D, "depths": _34}),
    "resnetv2_50": Network(ResNetV2, {"depths": _50}),
    "resnetv2_50d": Network(ResNetV2, {**_D, "depths": _50}),
    "resnetv2_50d_gn": Network(ResNetV2, {**_D, "norm": _group_norm, "depths": _50}),
    "resnetv2_50t": Network(ResNetV2, {**_T, "depths": _50}),
    "resnetv2_101": Network(ResNetV2, {"depths": _101}),
    "resnetv2_101d": Network(ResNetV2, {**_D, "depths": _101}),
    "resnetv2_152": Network(ResNetV2, {"depths": _152}),
    "resnetv2_152d": Network(ResNetV2, {**_D, "depths": _152}),
    "resnetv2_50x1_bit": Network(BigTransfer, {"width_factor": 1, "depths": _50}),
    "resnetv2_50x3_bit": Network(BigTransfer, {"width_factor": 3, "depths": _50}),
    "resnetv2_101x1_bit": Network(BigTransfer, {"width_factor": 1, "depths": _101}),
    "resnetv2_101x3_bit": Network(BigTransfer, {"width_factor": 3, "depths": _101}),
    "resnetv2_152x2_bit": Network(BigTransfer, {"width_factor": 2, "depths": _152}),
    "resnetv2_152x4_bit": Network(BigTransfer, {"width_factor": 4, "depths": _152}),
}
