"""RDNet: dense concatenation with the blocks of ConvNeXt.

Kim et al. 2024, "DenseNets Reloaded" (arXiv:2403.19588), as timm.models.rdnet defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    Conv,
    EffectiveSqueezeExcite,
    LayerNorm,
    classify,
    drop_path,
    drop_path_rates,
    gelu,
    kaiming_fan_in,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "DenseMixer", "RDNet"]

_norm = partial(LayerNorm, epsilon=1e-6)


def _conv(
    x: Array, width: int, size: int, strides: int = 1, groups: int = 1, **fields: Any
) -> Array:
    layer = Conv(
        width,
        (size, size),
        strides,
        padding=size // 2 if strides == 1 else 0,
        feature_group_count=groups,
        kernel_init=kaiming_fan_in,
        bias_init=uniform_bias(size * size * x.shape[-1] // groups),
        **fields,
    )
    return layer(x)


class DenseMixer(nn.Module):
    """A depthwise 7x7, a norm, 1x1 to four times the channels, GELU and 1x1 to `growth`, appended.

    `attention`: effective squeeze-excite of the new features, which are scaled channel by channel,
    by 1e-6 at first.
    """

    growth: int
    attention: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C + growth]`."""
        channels, conv = x.shape[-1], partial(_conv, dtype=self.dtype)
        y = conv(x, channels, 7, groups=channels, name="layers.layers.0")
        y = _norm(dtype=self.dtype, name="layers.layers.1")(y, train=train)
        y = gelu(conv(y, channels * 4 // 8 * 8, 1, name="layers.layers.2"))
        y = conv(y, self.growth, 1, name="layers.layers.4")
        if self.attention:
            attention = EffectiveSqueezeExcite(
                kernel_init=kaiming_fan_in, dtype=self.dtype, name="layers.layers.5"
            )
            y = attention(y, train=train)
        gamma = self.param("gamma", nn.initializers.constant(1e-6), (self.growth,), jnp.float32)
        y = y * gamma.reshape(1, 1, 1, -1).astype(y.dtype)
        y = drop_path(y, self.drop_path_rate, train=train)
        return jnp.concatenate([x, y], axis=-1)


class RDNet(nn.Module):
    """A 4x4 stem of stride 4, dense stages with 1x1 or 2x2 transitions between, pooling, a head.

    `growths` has, for every dense stage, what each of its `depth` blocks adds; a transition before
    it halves the channels, and at an index in `strided` the image. All but the first two have
    attention. `drop_path_rate` grows linearly
    from 0 at the first block to itself at the last.
    """

    growths: tuple[int, ...]
    strided: tuple[int, ...]
    stem_width: int
    depth: int = 3
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

        A stage is what comes before the next strided transition; "stem" and "stage1" have stride 4.
        """
        check_images(self, images, smallest=32)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(images, self.stem_width, 4, 4, name="stem.0")
        x = norm(name="stem.1")(x, train=train)
        stages, stage = {"stem": x}, 1
        rates = drop_path_rates(self.drop_path_rate, (self.depth,) * len(self.growths))
        for dense_stage, growth in enumerate(self.growths):
            name = f"dense_stages.{dense_stage}"
            if dense_stage > 0:
                stride = 2 if dense_stage in self.strided else 1
                stage += stride - 1
                width = x.shape[-1] // 2 // 8 * 8
                x = norm(name=f"{name}.0")(x, train=train)
                x = conv(x, width, stride, stride, name=f"{name}.1")
            for index in range(self.depth):
                block = DenseMixer(
                    growth,
                    attention=dense_stage > 1,
                    drop_path_rate=rates[dense_stage][index],
                    dtype=self.dtype,
                    name=f"{name}.{2 if dense_stage else 0}.dense_block{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        x = norm(name="head.norm")(ops.global_avg_pool(x), train=train)
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


# fmt: off
NETWORKS = {
    "rdnet_tiny": Network(RDNet, {"growths": (64, 104, *4 * (128,), 224), "strided": (1, 2, 6), "stem_width": 64}),
    "rdnet_small": Network(RDNet, {"growths": (64, *8 * (128,), 240, 240), "strided": (1, 2, 9), "stem_width": 72}),
    "rdnet_base": Network(RDNet, {"growths": (96, 128, *7 * (168,), 336, 336), "strided": (1, 2, 9), "stem_width": 120}),
    "rdnet_large": Network(RDNet, {"growths": (128, 192, *8 * (256,), 360, 360), "strided": (1, 2, 10), "stem_width": 144}),
}
# fmt: on
