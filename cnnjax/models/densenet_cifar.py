"""DenseNet for 32-pixel images: Huang, Liu, van der Maaten and Weinberger 2017 (arXiv:1608.06993).

Three dense blocks of equal depth; "BC" has 1x1 bottlenecks of four times the growth rate, halves
the channels at the transitions, and starts with twice the growth rate instead of 16 channels.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "DenseLayer", "DenseNetCifar"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_PAD = [(1, 1), (1, 1)]


class DenseLayer(nn.Module):
    """Norm, activation, 3x3 convolution to `growth` channels, behind a 1x1 bottleneck in "BC"."""

    growth: int
    bottleneck: bool
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C + growth]`."""
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        y = relu(_norm(dtype=self.dtype, name="bn1")(x, train=train))
        if self.bottleneck:
            y = drop(_conv(4 * self.growth, (1, 1), dtype=self.dtype, name="conv1")(y))
            y = relu(_norm(dtype=self.dtype, name="bn2")(y, train=train))
        name = "conv2" if self.bottleneck else "conv1"
        y = drop(_conv(self.growth, (3, 3), padding=_PAD, dtype=self.dtype, name=name)(y))
        return jnp.concatenate([x, y], axis=-1)


class DenseNetCifar(nn.Module):
    """A 3x3 stem and three dense blocks of `depth` layers, with 2x2 average pooling between."""

    depth: int
    growth: int
    bottleneck: bool = True
    dropout_rate: float = 0.0
    num_classes: int = 10
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=4)
        stem = 2 * self.growth if self.bottleneck else 16
        x = _conv(stem, (3, 3), padding=_PAD, dtype=self.dtype, name="conv1")(images)
        stages = {"stem": x}
        for stage in range(1, 4):
            for index in range(self.depth):
                layer = DenseLayer(
                    self.growth,
                    self.bottleneck,
                    self.dropout_rate,
                    dtype=self.dtype,
                    name=f"dense{stage}.{index}",
                )
                x = run(layer, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
            if stage < 3:
                width = x.shape[-1] // 2 if self.bottleneck else x.shape[-1]
                x = relu(_norm(dtype=self.dtype, name=f"trans{stage}.bn")(x, train=train))
                x = _conv(width, (1, 1), dtype=self.dtype, name=f"trans{stage}.conv")(x)
                x = ops.avg_pool(x, 2)
        x = relu(_norm(dtype=self.dtype, name="bn")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="linear", dtype=self.dtype
        )
        return (logits, stages) if features else logits


def _dense(depth: int, growth: int, *, bottleneck: bool) -> dict[str, Any]:
    layers = (depth - 4) // (6 if bottleneck else 3)
    return {"depth": layers, "growth": growth, "bottleneck": bottleneck}


NETWORKS = {
    "densenet40_12_cifar": Network(DenseNetCifar, _dense(40, 12, bottleneck=False)),
    "densenet100_12_cifar": Network(DenseNetCifar, _dense(100, 12, bottleneck=False)),
    "densenet_bc40_12_cifar": Network(DenseNetCifar, _dense(40, 12, bottleneck=True)),
    "densenet_bc40_36_cifar": Network(DenseNetCifar, _dense(40, 36, bottleneck=True)),
    "densenet_bc40_48_cifar": Network(DenseNetCifar, _dense(40, 48, bottleneck=True)),
    "densenet_bc100_12_cifar": Network(DenseNetCifar, _dense(100, 12, bottleneck=True)),
    "densenet_bc190_40_cifar": Network(DenseNetCifar, _dense(190, 40, bottleneck=True)),
    "densenet_bc250_24_cifar": Network(DenseNetCifar, _dense(250, 24, bottleneck=True)),
}
