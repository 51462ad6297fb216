"""ConvNeXt: a residual network with the choices of vision transformers.

Liu et al. 2022 (arXiv:2201.03545), as torchvision.models.convnext defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, LayerNorm, classify, drop_path, drop_path_rates, gelu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "ConvNeXt", "ConvNeXtBlock"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)
_linear = partial(nn.Dense, kernel_init=_init)
_norm = partial(LayerNorm, epsilon=1e-6)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7, LayerNorm, two linear layers with a GELU, scaled per channel, a shortcut."""

    layer_scale: float = 1e-6
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, linear = x.shape[-1], partial(_linear, dtype=self.dtype)
        y = _conv(
            width,
            (7, 7),
            padding=3,
            feature_group_count=width,
            dtype=self.dtype,
            name="block.0",
        )(x)
        y = _norm(dtype=self.dtype, name="block.2")(y, train=train)
        y = linear(width, name="block.5")(gelu(linear(4 * width, name="block.3")(y)))
        # [C, 1, 1] as in the reference's weight files.
        scale = self.param(
            "layer_scale", nn.initializers.constant(self.layer_scale), (width, 1, 1), jnp.float32
        )
        y = y * scale.reshape(1, 1, 1, width).astype(y.dtype)
        return x + drop_path(y, self.drop_path_rate, train=train)


class ConvNeXt(nn.Module):
    """A 4x4 stem of stride 4, four stages with a 2x2 downsampling between, pooling, a linear layer.

    `drop_path_rate` grows linearly from 0 at the first block to itself at the last.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    num_classes: int = 1000
    drop_path_rate: float = 0.1
    layer_scale: float = 1e-6
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
        x = conv(self.widths[0], (4, 4), 4, padding=0, name="features.0.0")(images)
        x = norm(name="features.0.1")(x, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage > 0:
                x = norm(name=f"features.{2 * stage}.0")(x, train=train)
                x = conv(width, (2, 2), 2, padding=0, name=f"features.{2 * stage}.1")(x)
            for index in range(depth):
                block = ConvNeXtBlock(
                    layer_scale=self.layer_scale,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"features.{2 * stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = norm(name="classifier.0")(ops.global_avg_pool(x), train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.2",
            dtype=self.dtype,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


def _row(depths: tuple[int, ...], width: int, drop_path_rate: float, *row: Any) -> Network:
    parameters, gmacs, accuracy = row
    return Network(
        ConvNeXt,
        {
            "depths": depths,
            "widths": (width, 2 * width, 4 * width, 8 * width),
            "drop_path_rate": drop_path_rate,
        },
        parameters=parameters,
        multiply_adds=gmacs,
        reference="torchvision",
        accuracy=accuracy,
        weights="IMAGENET1K_V1",
    )


NETWORKS = {
    # depths, width, drop_path_rate, parameters, 1e9 multiply-adds, published top-1
    "convnext_tiny": _row((3, 3, 9, 3), 96, 0.1, 28_589_128, 4.456, 82.52),
    "convnext_small": _row((3, 3, 27, 3), 96, 0.4, 50_223_688, 8.684, 83.616),
    "convnext_base": _row((3, 3, 27, 3), 128, 0.5, 88_591_464, 15.355, 84.062),
    "convnext_large": _row((3, 3, 27, 3), 192, 0.5, 197_767_336, 34.361, 84.414),
}
