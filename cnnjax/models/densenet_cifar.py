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


def _row(depth: int, growth: int, bottleneck: bool, *row: Any) -> Network:
    parameters, statistics, gmacs, accuracy = row
    layers = (depth - 4) // (6 if bottleneck else 3)
    return Network(
        DenseNetCifar,
        {"depth": layers, "growth": growth, "bottleneck": bottleneck},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=32,
        reference="arXiv:1608.06993",
        accuracy=accuracy,
        dataset="CIFAR-10",
    )


# fmt: off
NETWORKS = {
    # layers, growth rate, BC, parameters, BatchNorm statistics, 1e9 multiply-adds, accuracy
    "densenet40_12_cifar": _row(40, 12, False, 1_019_722, 18_096, 0.2648, 94.76),
    "densenet100_12_cifar": _row(100, 12, False, 6_979_642, 117_216, 1.77, 95.90),
    "densenet_bc40_12_cifar": _row(40, 12, True, 176_122, 5_088, 0.07237, None),
    "densenet_bc40_36_cifar": _row(40, 36, True, 1_542_682, 15_264, 0.6473, 95.42),
    "densenet_bc40_48_cifar": _row(40, 48, True, 2_733_130, 20_352, 1.15, 96.01),
    "densenet_bc100_12_cifar": _row(100, 12, True, 769_162, 23_988, 0.2879, 95.49),
    "densenet_bc190_40_cifar": _row(190, 40, True, 25_624_430, 256_960, 9.302, 96.54),
    "densenet_bc250_24_cifar": _row(250, 24, True, 15_324_406, 257_976, 5.419, 96.38),
}
# fmt: on
