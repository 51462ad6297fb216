"""AlexNet: the network that won ImageNet in 2012, in its single-column form.

Krizhevsky 2014 (arXiv:1404.5997), as torchvision.models.alexnet defines it: no local response
normalization, no groups.
"""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, flatten, relu, uniform, uniform_bias, widen
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "AlexNet"]


class AlexNet(nn.Module):
    """Five convolutions, three maxima, an average to 6x6 and three linear layers.

    Two of the linear layers are `hidden` wide.
    """

    num_classes: int = 1000
    hidden: int = 4096
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem", "stage1" and "stage2" are what the maxima take: strides 4, 8 and 16.
        """
        check_images(self, images, smallest=63)

        def conv(x: Array, at: int, width: int, size: int, strides: int, padding: int) -> Array:
            layer = Conv(
                width,
                (size, size),
                strides,
                padding=padding,
                kernel_init=uniform,
                bias_init=uniform_bias(size * size * x.shape[-1]),
                dtype=self.dtype,
                name=f"features.{at}",
            )
            return relu(layer(x))

        def linear(x: Array, at: int, width: int) -> Array:
            layer = nn.Dense(
                width,
                dtype=self.dtype,
                kernel_init=uniform,
                bias_init=uniform_bias(x.shape[-1]),
                name=f"classifier.{at}",
            )
            return layer(x)

        def dropout(x: Array) -> Array:
            return nn.Dropout(self.dropout_rate, deterministic=not train)(x)

        x = stem = conv(images, 0, 64, 11, 4, 2)
        x = ops.max_pool(x, 3, strides=2)
        x = stage1 = conv(x, 3, 192, 5, 1, 2)
        x = ops.max_pool(x, 3, strides=2)
        x = conv(x, 6, 384, 3, 1, 1)
        x = conv(x, 8, 256, 3, 1, 1)
        x = stage2 = conv(x, 10, 256, 3, 1, 1)
        x = ops.max_pool(x, 3, strides=2)
        x = flatten(ops.adaptive_avg_pool(x, 6))
        x = relu(linear(dropout(x), 1, self.hidden))
        x = relu(linear(dropout(x), 4, self.hidden))
        logits = widen(linear(x, 6, self.num_classes))
        stages = {"stem": stem, "stage1": stage1, "stage2": stage2, "pre_logits": x}
        return (logits, stages) if features else logits


NETWORKS = {
    "alexnet": Network(AlexNet),
}
