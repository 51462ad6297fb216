"""PP-HGNet: blocks that join the outputs of all of their layers, as VoVNet's, made for a GPU.

Of PaddlePaddle's PaddleClas (pp_hgnet and pp_hgnet_v2; no paper; weights distilled as Cui et al.
2021, arXiv:2103.05959, do), as timm.models.hgnet defines them.
"""

from functools import partial
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    classify,
    drop_path,
    drop_path_rates,
    kaiming_normal,
    relu,
    run,
    sigmoid,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "HGNet", "HGNetBlock", "HGNetLayer"]

_conv = partial(Conv, kernel_init=kaiming_normal)
_ones, _zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()


class HGNetLayer(nn.Module):
    """`relu(norm(conv(x)))`; with `affine` a learnt number times that, plus another.

    An even kernel shortens the image by one. Without `act` neither ReLU nor numbers follow.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    groups: int = 1
    act: bool = True
    affine: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        x = _conv(
            self.features,
            self.kernel_size,
            self.strides,
            padding=(self.kernel_size - 1) // 2,
            feature_group_count=self.groups,
            use_bias=False,
            dtype=self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(momentum=0.9, epsilon=1e-5, dtype=self.dtype, name="bn")(x, train=train)
        if not self.act:
            return x
        x = relu(x)
        if self.affine:
            x = _affine(self, "lab", x)
        return x


def _affine(module: nn.Module, name: str, x: Array) -> Array:
    # Leaves of `module`, not a submodule's: the reference calls the factor "scale", and a leaf of
    # that name is a norm's "weight" there.
    scale = module.param(f"{name}.scale", _ones, (1,), jnp.float32)
    bias = module.param(f"{name}.bias", _zeros, (1,), jnp.float32)
    shape = (1,) * x.ndim
    return x * scale.reshape(shape).astype(x.dtype) + bias.reshape(shape).astype(x.dtype)


class HGNetBlock(nn.Module):
    """`layers` layers in a row; 1x1 layers join the outputs of all and the input.

    With `light` a layer is a 1x1 convolution and a depthwise one. `squeeze`: two 1x1 layers join,
    through half the outputs; else one does, and then each channel is scaled by
    `sigmoid(W mean(x) + b)`. With `residual` the input is added.
    """

    width: int
    features: int
    layers: int
    kernel_size: int = 3
    light: bool = False
    squeeze: bool = False
    residual: bool = False
    affine: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        layer = partial(HGNetLayer, affine=self.affine, dtype=self.dtype)
        outputs, y, width, size = [x], x, self.width, self.kernel_size
        for index in range(self.layers):
            name = f"layers.{index}"
            if self.light:
                y = layer(width, 1, act=False, name=f"{name}.conv1")(y, train=train)
                y = layer(width, size, groups=width, name=f"{name}.conv2")(y, train=train)
            else:
                y = layer(width, size, name=name)(y, train=train)
            outputs.append(y)
        y = jnp.concatenate(outputs, -1)
        if self.squeeze:
            y = layer(self.features // 2, 1, name="aggregation.0")(y, train=train)
            y = layer(self.features, 1, name="aggregation.1")(y, train=train)
        else:
            y = layer(self.features, 1, name="aggregation.0")(y, train=train)
            scale = _conv(
                self.features,
                (1, 1),
                bias_init=uniform_bias(self.features),
                dtype=self.dtype,
                name="aggregation.1.conv",
            )(ops.global_avg_pool(y)[:, None, None, :])
            y = y * sigmoid(scale)
        return x + drop_path(y, self.drop_path_rate, train=train) if self.residual else y


class HGNet(nn.Module):
    """A stem of stride 4, four stages of `HGNetBlock`, pooling, a layer of 2048 and a linear one.

    A stage but the first begins with a strided depthwise 3x3; its blocks but the first have a
    shortcut. `widths` are those of the blocks' layers, `outputs` of the stages. Version 2 has
    another stem, light 5x5 layers in its last two stages, and joins through half the outputs.
    `drop_path_rate` grows linearly from 0 at the first block to itself at the last.
    """

    # Twelve fields: seven are the architecture's, five every network has.
    stem: tuple[int, ...]
    widths: tuple[int, ...]
    outputs: tuple[int, ...]
    depths: tuple[int, ...]
    layers: int
    version: Literal[1, 2] = 1
    affine: bool = False
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
        check_images(self, images)
        layer = partial(HGNetLayer, affine=self.affine, dtype=self.dtype)
        x = self._stem(images, layer, train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = layer(
                    x.shape[-1],
                    strides=2,
                    groups=x.shape[-1],
                    act=False,
                    name=f"stages.{stage}.downsample",
                )(x, train=train)
            light = self.version == 2 and stage >= 2
            for index in range(depth):
                block = HGNetBlock(
                    self.widths[stage],
                    self.outputs[stage],
                    self.layers,
                    kernel_size=5 if light else 3,
                    light=light,
                    squeeze=self.version == 2,
                    residual=index > 0,
                    affine=self.affine,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = _conv(2048, (1, 1), use_bias=False, dtype=self.dtype, name="head.last_conv.0")(x)
        x = relu(x)[:, 0, 0, :]
        if self.affine:
            x = _affine(self, "head.last_conv.2", x)
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

    def _stem(self, images: Images, layer: Any, train: bool) -> Array:
        if self.version == 1:
            x = images
            for index, width in enumerate(self.stem):
                strides = 2 if index == 0 else 1
                x = layer(width, strides=strides, name=f"stem.stem.{index}")(x, train=train)
            return ops.max_pool(x, 3, strides=2, padding=1)
        width, last = self.stem
        x = layer(width, strides=2, name="stem.stem1")(images, train=train)
        # Zeros below and right keep the size where windows are 2x2.
        below = ((0, 0), (0, 1), (0, 1), (0, 0))
        x = jnp.pad(x, below)
        y = layer(width // 2, 2, name="stem.stem2a")(x, train=train)
        y = layer(width, 2, name="stem.stem2b")(jnp.pad(y, below), train=train)
        x = jnp.concatenate([ops.max_pool(x, 2, strides=1), y], -1)
        x = layer(width, strides=2, name="stem.stem3")(x, train=train)
        return layer(last, 1, name="stem.stem4")(x, train=train)


# fmt: off
NETWORKS = {
    "hgnet_tiny": Network(HGNet, {"stem": (48, 48, 96), "widths": (96, 128, 160, 192), "outputs": (224, 448, 512, 768), "depths": (1, 1, 2, 1), "layers": 5}),
    "hgnet_small": Network(HGNet, {"stem": (64, 64, 128), "widths": (128, 160, 192, 224), "outputs": (256, 512, 768, 1024), "depths": (1, 1, 2, 1), "layers": 6}),
    "hgnet_base": Network(HGNet, {"stem": (96, 96, 160), "widths": (192, 224, 256, 288), "outputs": (320, 640, 960, 1280), "depths": (1, 2, 3, 2), "layers": 7}),
    "hgnetv2_b0": Network(HGNet, {"stem": (16, 16), "widths": (16, 32, 64, 128), "outputs": (64, 256, 512, 1024), "depths": (1, 1, 2, 1), "layers": 3, "version": 2, "affine": True}),
    "hgnetv2_b1": Network(HGNet, {"stem": (24, 32), "widths": (32, 48, 96, 192), "outputs": (64, 256, 512, 1024), "depths": (1, 1, 2, 1), "layers": 3, "version": 2, "affine": True}),
    "hgnetv2_b2": Network(HGNet, {"stem": (24, 32), "widths": (32, 64, 128, 256), "outputs": (96, 384, 768, 1536), "depths": (1, 1, 3, 1), "layers": 4, "version": 2, "affine": True}),
    "hgnetv2_b3": Network(HGNet, {"stem": (24, 32), "widths": (32, 64, 128, 256), "outputs": (128, 512, 1024, 2048), "depths": (1, 1, 3, 1), "layers": 5, "version": 2, "affine": True}),
    "hgnetv2_b4": Network(HGNet, {"stem": (32, 48), "widths": (48, 96, 192, 384), "outputs": (128, 512, 1024, 2048), "depths": (1, 1, 3, 1), "layers": 6, "version": 2}),
    "hgnetv2_b5": Network(HGNet, {"stem": (32, 64), "widths": (64, 128, 256, 512), "outputs": (128, 512, 1024, 2048), "depths": (1, 2, 5, 2), "layers": 6, "version": 2}),
    "hgnetv2_b6": Network(HGNet, {"stem": (48, 96), "widths": (96, 192, 384, 768), "outputs": (192, 512, 1024, 2048), "depths": (2, 3, 6, 3), "layers": 6, "version": 2}),
}
# fmt: on
