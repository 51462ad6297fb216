"""CSPNeXt: cross-stage partial stages of 3x3 and depthwise 5x5 convolutions.

The backbone of RTMDet (Lyu et al. 2022, arXiv:2212.07784), as timm.models.cspnext defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    ConvNormAct,
    EffectiveSqueezeExcite,
    classify,
    drop_path,
    drop_path_rates,
    run,
    silu,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "CSPNeXt", "CSPNeXtBlock", "CSPNeXtLayer", "SpatialPyramid"]

_layer = partial(ConvNormAct, act=silu, kernel_init=uniform)


class SpatialPyramid(nn.Module):
    """A 1x1 layer to half the channels, max pools of 5, 9 and 13 pixels beside it, a 1x1 layer."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        y = _layer(x.shape[-1] // 2, 1, dtype=self.dtype, name="conv1")(x, train=train)
        pools = [ops.max_pool(y, size, strides=1, padding=size // 2) for size in (5, 9, 13)]
        y = jnp.concatenate([y, *pools], axis=-1)
        return _layer(x.shape[-1], 1, dtype=self.dtype, name="conv2")(y, train=train)


class CSPNeXtBlock(nn.Module):
    """A 3x3, a depthwise 5x5 and a 1x1 layer, with a shortcut unless `shortcut` is False."""

    shortcut: bool = True
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        layer, width = partial(_layer, x.shape[-1], dtype=self.dtype), x.shape[-1]
        y = layer(3, name="conv1")(x, train=train)
        y = layer(5, groups=width, name="conv2.depthwise_conv")(y, train=train)
        y = layer(1, name="conv2.pointwise_conv")(y, train=train)
        return x + drop_path(y, self.drop_path_rate, train=train) if self.shortcut else y


class CSPNeXtLayer(nn.Module):
    """Blocks on one half of the channels, the other half beside them, attention, a 1x1 layer.

    `drop_path_rates` has that of each block.
    """

    drop_path_rates: tuple[float, ...]
    shortcut: bool = True
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        layer, width = partial(_layer, kernel_size=1, dtype=self.dtype), x.shape[-1]
        short = layer(width // 2, name="short_conv")(x, train=train)
        main = layer(width // 2, name="main_conv")(x, train=train)
        for index, rate in enumerate(self.drop_path_rates):
            block = CSPNeXtBlock(self.shortcut, rate, dtype=self.dtype, name=f"blocks.{index}")
            main = run(block, main, train=train, remat=self.remat)
        x = jnp.concatenate([main, short], axis=-1)
        x = EffectiveSqueezeExcite(kernel_init=uniform, dtype=self.dtype, name="attention")(
            x, train=train
        )
        return layer(width, name="final_conv")(x, train=train)


class CSPNeXt(nn.Module):
    """Three 3x3 layers, stages of a strided 3x3 layer and a `CSPNeXtLayer`, pooling, a linear layer.

    A stage's channels are `width` times 1, 2, 4, 8. The last has a `SpatialPyramid` before its
    blocks, which have no shortcuts. `drop_path_rate` grows linearly over the blocks of the others.
    """

    width: int
    depths: tuple[int, ...]
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        layer = partial(_layer, kernel_size=3, dtype=self.dtype)
        x = layer(self.width // 4, strides=2, name="stem.0")(images, train=train)
        x = layer(self.width // 4, name="stem.1")(x, train=train)
        x = layer(self.width // 2, name="stem.2")(x, train=train)
        stages, last = {"stem": x}, len(self.depths) - 1
        rates = drop_path_rates(self.drop_path_rate, self.depths[:-1])
        for stage, depth in enumerate(self.depths):
            name = f"stages.{stage}"
            x = layer(self.width * 2**stage, strides=2, name=f"{name}.0")(x, train=train)
            if stage == last:
                x = SpatialPyramid(dtype=self.dtype, name=f"{name}.1")(x, train=train)
            blocks = CSPNeXtLayer(
                rates[stage] if stage < last else (0.0,) * depth,
                shortcut=stage < last,
                remat=self.remat,
                dtype=self.dtype,
                name=f"{name}.{2 if stage == last else 1}",
            )
            x = stages[f"stage{stage + 1}"] = blocks(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "cspnext_tiny": Network(CSPNeXt, {"width": 48, "depths": (1, 1, 1, 1)}),
    "cspnext_s": Network(CSPNeXt, {"width": 64, "depths": (1, 2, 2, 1)}),
    "cspnext_m": Network(CSPNeXt, {"width": 96, "depths": (2, 4, 4, 2)}),
    "cspnext_l": Network(CSPNeXt, {"width": 128, "depths": (3, 6, 6, 3)}),
    "cspnext_x": Network(CSPNeXt, {"width": 160, "depths": (4, 8, 8, 4)}),
}
