"""ConvNeXt V2: ConvNeXt with global response normalisation instead of layer scale.

Woo et al. 2023 (arXiv:2301.00808), as timm.models.convnext defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, DropPath, LayerNorm, gelu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "ConvNeXtV2", "ConvNeXtV2Block", "GlobalResponseNorm"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)
_norm = partial(LayerNorm, epsilon=1e-6)


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
        values = x.astype(jnp.float32)
        squares = jnp.square(values).sum((1, 2), keepdims=True)
        # The root of 0 has no derivative: a channel that is 0 everywhere gets the gradient 0.
        norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1.0)), 0.0)
        relative = norm / (norm.mean(-1, keepdims=True) + self.epsilon)
        y = values * (1 + scale.reshape(1, 1, 1, -1) * relative) + bias.reshape(1, 1, 1, -1)
        return y.astype(x.dtype)


class ConvNeXtV2Block(nn.Module):
    """A depthwise 7x7, LayerNorm, two 1x1 layers with GELU and response norm, a shortcut.

    `dense` says how the 1x1 layers are stored: as `[C, 4C]` or as 1x1 kernels.
    """

    dense: bool = True
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
        y = _norm(dtype=self.dtype, name="norm")(y)
        y = gelu(layer(4 * width, name="mlp.fc1")(y))
        y = GlobalResponseNorm(name="mlp.grn")(y)
        y = layer(width, name="mlp.fc2")(y)
        return x + DropPath(self.drop_path_rate)(y, train=train)


class ConvNeXtV2(nn.Module):
    """A 4x4 stem of stride 4, four stages with a 2x2 downsampling between, pooling, a linear layer.

    The stages have 1, 2, 4, 8 times `width` channels. `drop_path_rate` grows linearly from 0 at the first block
    to itself at the last.
    """

    depths: tuple[int, ...]
    width: int
    dense: bool = True
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
        x = conv(self.width, (4, 4), 4, padding=0, name="stem.0")(images)
        x = norm(name="stem.1")(x)
        stages, block_index = {"stem": x}, 0
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = norm(name=f"stages.{stage}.downsample.0")(x)
                x = conv(
                    self.width * 2**stage,
                    (2, 2),
                    2,
                    padding=0,
                    name=f"stages.{stage}.downsample.1",
                )(x)
            for index in range(depth):
                block = ConvNeXtV2Block(
                    dense=self.dense,
                    drop_path_rate=self.drop_path_rate * block_index / (sum(self.depths) - 1),
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage + 1}"] = x
        x = norm(name="head.norm")(ops.global_avg_pool(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=_init, name="head.fc")(x)
        logits = logits.astype(jnp.float32)
        return (logits, stages) if features else logits


def _row(depths: tuple[int, ...], width: int, *row: Any) -> Network:
    dense, input_size, parameters, gmacs, accuracy, weights = row
    return Network(
        ConvNeXtV2,
        {"depths": depths, "width": width, "dense": dense},
        parameters=parameters,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_FT, _FT22K = "fcmae_ft_in1k", "fcmae_ft_in22k_in1k_384"

# fmt: off
NETWORKS = {
    # depths, width, dense, input size, parameters, 1e9 multiply-adds, published top-1, weights
    "convnextv2_atto": _row((2, 2, 6, 2), 40, False, 224, 3_708_400, 0.5473, 77.794, _FT),
    "convnextv2_femto": _row((2, 2, 6, 2), 48, False, 224, 5_233_240, 0.7796, 79.342, _FT),
    "convnextv2_pico": _row((2, 2, 6, 2), 64, False, 224, 9_066_280, 1.367, 81.062, _FT),
    "convnextv2_nano": _row((2, 2, 8, 2), 80, False, 224, 15_623_800, 2.446, 83.366, _FT22K),
    "convnextv2_tiny": _row((3, 3, 9, 3), 96, True, 224, 28_635_496, 4.456, 85.098, _FT22K),
    "convnextv2_small": _row((3, 3, 27, 3), 96, True, 224, 50_318_440, 8.684, None, None),
    "convnextv2_base": _row((3, 3, 27, 3), 128, True, 224, 88_717_800, 15.355, 87.638, _FT22K),
    "convnextv2_large": _row((3, 3, 27, 3), 192, True, 224, 197_956_840, 34.361, 88.18, _FT22K),
    "convnextv2_huge": _row((3, 3, 27, 3), 352, True, 384, 660_289_640, 337.725, 88.86, "fcmae_ft_in22k_in1k_512"),
}
# fmt: on
