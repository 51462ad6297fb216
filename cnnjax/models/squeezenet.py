"""SqueezeNet 1.0 and 1.1: AlexNet's accuracy with fifty times fewer parameters.

Iandola et al. 2016 (arXiv:1602.07360) and its repository's version 1.1, as
torchvision.models.squeezenet defines them.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, relu, widen
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "Fire", "SqueezeNet"]

_conv = partial(Conv, kernel_init=nn.initializers.variance_scaling(2.0, "fan_in", "uniform"))


class Fire(nn.Module):
    """A 1x1 squeeze, then a 1x1 and a 3x3 expansion side by side."""

    squeezed: int
    expanded: int
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, 2 * expanded]`."""
        conv = partial(_conv, dtype=self.dtype)
        x = relu(conv(self.squeezed, (1, 1), name="squeeze")(x))
        narrow = relu(conv(self.expanded, (1, 1), name="expand1x1")(x))
        wide = relu(conv(self.expanded, (3, 3), padding=1, name="expand3x3")(x))
        return jnp.concatenate([narrow, wide], axis=-1)


class SqueezeNet(nn.Module):
    """An unpadded stem, three stages of fire modules and a 1x1 convolution, averaged last.

    `stem` is the width and kernel size of the first layer, `stages` the squeezed widths of the
    fire modules between two maxima; a module expands to eight times its squeezed width. `smallest`
    is the least height and width of images.
    """

    stem: tuple[int, int]
    stages: tuple[tuple[int, ...], ...]
    smallest: int
    num_classes: int = 1000
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=self.smallest)
        width, size = self.stem
        stem = _conv(width, (size, size), 2, padding=0, dtype=self.dtype, name="features.0")
        x = relu(stem(images))
        stages, at = {"stem": x}, 2
        for stage, squeezes in enumerate(self.stages, start=1):
            x = ops.max_pool(x, 3, strides=2, ceil_mode=True)
            at += 1
            for squeezed in squeezes:
                x = Fire(squeezed, 4 * squeezed, dtype=self.dtype, name=f"features.{at}")(x)
                at += 1
            stages[f"stage{stage}"] = x
        last = x
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        x = Conv(
            self.num_classes,
            (1, 1),
            kernel_init=nn.initializers.normal(0.01),
            dtype=self.dtype,
            name="classifier.1",
        )(x)
        logits = widen(ops.global_avg_pool(relu(x)))
        if not features:
            return logits
        return logits, {**stages, "pre_logits": ops.global_avg_pool(last)}


NETWORKS = {
    "squeezenet1_0": Network(
        SqueezeNet,
        {"stem": (96, 7), "stages": ((16, 16, 32), (32, 48, 48, 64), (64,)), "smallest": 21},
    ),
    "squeezenet1_1": Network(
        SqueezeNet,
        {"stem": (64, 3), "stages": ((16, 16), (32, 32), (48, 48, 64, 64)), "smallest": 17},
    ),
}
