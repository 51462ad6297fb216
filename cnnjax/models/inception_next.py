"""InceptionNeXt: ConvNeXt with its depthwise 7x7 split into a square, two bands and an identity.

Yu et al. 2023 (arXiv:2303.16900), as timm.models.inception_next defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, LayerNorm, classify, drop_path, drop_path_rates, gelu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "InceptionNeXt", "InceptionNeXtBlock"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)
_linear = partial(nn.Dense, kernel_init=_init)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class InceptionNeXtBlock(nn.Module):
    """Depthwise 3x3, 1 x `band` and `band` x 1 layers of some channels, two 1x1 layers, a shortcut.

    Each takes `ratio` of the channels, after those that pass as they are.
    """

    expansion: int = 4
    band: int = 11
    ratio: float = 0.125
    layer_scale: float = 1e-6
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, band = x.shape[-1], self.band
        part = int(width * self.ratio)
        conv = partial(_conv, dtype=self.dtype)
        depthwise = partial(conv, part, padding="SAME", feature_group_count=part)
        same, square, wide, high = jnp.split(
            x, [width - 3 * part, width - 2 * part, width - part], -1
        )
        square = depthwise(kernel_size=(3, 3), name="token_mixer.dwconv_hw")(square)
        wide = depthwise(kernel_size=(1, band), name="token_mixer.dwconv_w")(wide)
        high = depthwise(kernel_size=(band, 1), name="token_mixer.dwconv_h")(high)
        y = jnp.concatenate([same.astype(wide.dtype), square, wide, high], axis=-1)
        y = _norm(dtype=self.dtype, name="norm")(y, train=train)
        y = gelu(conv(self.expansion * width, (1, 1), name="mlp.fc1")(y))
        y = conv(width, (1, 1), name="mlp.fc2")(y)
        scale = nn.initializers.constant(self.layer_scale)
        gamma = self.param("gamma", scale, (width,), jnp.float32)
        y = y * gamma.reshape(1, 1, 1, width).astype(y.dtype)
        return x + drop_path(y, self.drop_path_rate, train=train)


class InceptionNeXt(nn.Module):
    """A 4x4 stem of stride 4, four stages with a 2x2 downsampling between, pooling, two linear layers.

    Stage widths are 1, 2, 4, 8 times `width`. `drop_path_rate` grows linearly from 0 at the first
    block to itself at the last.
    """

    depths: tuple[int, ...]
    width: int
    band: int = 11
    ratio: float = 0.125
    layer_scale: float = 1e-6
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
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        linear = partial(_linear, dtype=self.dtype)
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
                block = InceptionNeXtBlock(
                    expansion=3 if stage == 3 else 4,
                    band=self.band,
                    ratio=self.ratio,
                    layer_scale=self.layer_scale,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)
        x = gelu(linear(3 * x.shape[-1], name="head.fc1")(x))
        x = LayerNorm(epsilon=1e-6, dtype=self.dtype, name="head.norm")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc2",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "inception_next_atto": Network(InceptionNeXt, {"depths": (2, 2, 6, 2), "width": 40, "band": 9, "ratio": 0.25}),
    "inception_next_tiny": Network(InceptionNeXt, {"depths": (3, 3, 9, 3), "width": 96}),
    "inception_next_small": Network(InceptionNeXt, {"depths": (3, 3, 27, 3), "width": 96}),
    "inception_next_base": Network(InceptionNeXt, {"depths": (3, 3, 27, 3), "width": 128}),
}
# fmt: on
