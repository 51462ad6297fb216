"""ConvMixer: patches, then depthwise and 1x1 convolutions at one resolution.

Trockman and Kolter 2022 (arXiv:2201.09792), as timm.models.convmixer defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, gelu, relu, run, uniform, uniform_bias
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "ConvMixer", "MixerBlock"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


def _layer(
    x: Array, width: int, size: int, strides: int, depthwise: bool, *, dtype: DType, name: str
) -> Array:
    channels = 1 if depthwise else x.shape[-1]
    return Conv(
        width,
        (size, size),
        strides,
        padding="SAME" if strides == 1 else 0,
        feature_group_count=width if depthwise else 1,
        kernel_init=uniform,
        bias_init=uniform_bias(channels * size * size),
        dtype=dtype,
        name=name,
    )(x)


class MixerBlock(nn.Module):
    """A depthwise layer with a shortcut and a 1x1 layer; each activates before it normalizes."""

    kernel_size: int
    act: Activation = gelu
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, layer = x.shape[-1], partial(_layer, dtype=self.dtype)
        y = self.act(layer(x, width, self.kernel_size, 1, True, name="0.fn.0"))
        x = x + _norm(dtype=self.dtype, name="0.fn.2")(y, train=train)
        y = self.act(layer(x, width, 1, 1, False, name="1"))
        return _norm(dtype=self.dtype, name="3")(y, train=train)


class ConvMixer(nn.Module):
    """A convolution of size and stride `patch_size`, `depth` blocks, pooling, a linear layer."""

    width: int
    depth: int
    kernel_size: int
    patch_size: int
    act: Activation = gelu
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" and "stage1" both have the stride `patch_size`.
        """
        size = self.patch_size
        check_images(self, images, smallest=size)
        x = _layer(images, self.width, size, size, False, dtype=self.dtype, name="stem.0")
        x = _norm(dtype=self.dtype, name="stem.2")(self.act(x), train=train)
        stages = {"stem": x}
        for index in range(self.depth):
            block = MixerBlock(
                self.kernel_size, act=self.act, dtype=self.dtype, name=f"blocks.{index}"
            )
            x = run(block, x, train=train, remat=self.remat)
        stages["stage1"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "convmixer_768_32": Network(ConvMixer, {"width": 768, "depth": 32, "kernel_size": 7, "patch_size": 7, "act": relu}),
    "convmixer_1024_20_ks9_p14": Network(ConvMixer, {"width": 1024, "depth": 20, "kernel_size": 9, "patch_size": 14, "act": gelu}),
    "convmixer_1536_20": Network(ConvMixer, {"width": 1536, "depth": 20, "kernel_size": 9, "patch_size": 7, "act": gelu}),
}
# fmt: on
