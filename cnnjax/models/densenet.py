"""DenseNet: every layer of a block reads the features of all layers before it.

Huang et al. 2017 (arXiv:1608.06993), DenseNet-BC for ImageNet, as torchvision.models.densenet
defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, relu, run, uniform
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "DenseLayer", "DenseNet", "Transition"]

_conv = partial(
    Conv, use_bias=False, kernel_init=nn.initializers.variance_scaling(2.0, "fan_in", "normal")
)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class DenseLayer(nn.Module):
    """A 1x1 convolution to four times `growth`, a 3x3 to `growth`, appended to the input."""

    growth: int
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C + growth]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = relu(norm(name="norm1")(x, train=train))
        y = conv(4 * self.growth, (1, 1), name="conv1")(y)
        y = relu(norm(name="norm2")(y, train=train))
        y = conv(self.growth, (3, 3), padding=1, name="conv2")(y)
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return jnp.concatenate([x, y], axis=-1)


class Transition(nn.Module):
    """A 1x1 convolution to half the channels and a 2x2 average."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / 2, W / 2, C / 2]`."""
        x = relu(_norm(dtype=self.dtype, name="norm")(x, train=train))
        x = _conv(x.shape[-1] // 2, (1, 1), dtype=self.dtype, name="conv")(x)
        return ops.avg_pool(x, 2)


class DenseNet(nn.Module):
    """A 7x7 stem, four dense blocks with transitions between, pooling and a linear layer.

    `dropout_rate` is the dropout of each layer's new features; the reference sets none. `remat`
    computes the layers again backwards: the paper's authors' way (arXiv:1707.06990) around memory
    that grows with the square of the depth.
    """

    depths: tuple[int, ...]
    growth: int = 32
    stem_width: int = 64
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage is what its block gives, before the transition.
        """
        check_images(self, images, smallest=29)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(self.stem_width, (7, 7), 2, padding=3, name="features.conv0")(images)
        x = relu(norm(name="features.norm0")(x, train=train))
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, padding=1)
        for stage, depth in enumerate(self.depths, start=1):
            if stage > 1:
                name = f"features.transition{stage - 1}"
                x = Transition(dtype=self.dtype, name=name)(x, train=train)
            for index in range(1, depth + 1):
                layer = DenseLayer(
                    self.growth,
                    dropout_rate=self.dropout_rate,
                    dtype=self.dtype,
                    name=f"features.denseblock{stage}.denselayer{index}",
                )
                x = run(layer, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        x = relu(norm(name="features.norm5")(x, train=train))
        x = ops.global_avg_pool(x)
        logits = nn.Dense(
            self.num_classes, dtype=self.dtype, kernel_init=uniform, name="classifier"
        )(x)
        logits = logits.astype(jnp.float32)
        return (logits, stages) if features else logits


def _row(depths: tuple[int, ...], growth: int, stem_width: int, *row: Any) -> Network:
    parameters, statistics, gmacs, accuracy = row
    return Network(
        DenseNet,
        {"depths": depths, "growth": growth, "stem_width": stem_width},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        reference="torchvision",
        accuracy=accuracy,
        weights="IMAGENET1K_V1",
    )


NETWORKS = {
    # depths, growth, stem, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1
    "densenet121": _row((6, 12, 24, 16), 32, 64, 7_978_856, 83_648, 2.834, 74.434),
    "densenet161": _row((6, 12, 36, 24), 48, 96, 28_681_000, 219_936, 7.728, 77.138),
    "densenet169": _row((6, 12, 32, 32), 32, 64, 14_149_480, 158_400, 3.36, 75.6),
    "densenet201": _row((6, 12, 48, 32), 32, 64, 20_013_928, 229_056, 4.291, 76.896),
}
