"""VGG with batch normalization for 32-pixel images.

Simonyan and Zisserman 2015 (arXiv:1409.1556) with batch normalization after each convolution, and
one linear layer after the fifth pooling, which leaves one position of a 32-pixel image.
"""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "VGGCifar"]

_WIDTHS = (64, 128, 256, 512, 512)


class VGGCifar(nn.Module):
    """Five stages of 3x3 convolutions, each followed by 2x2 max pooling, and a linear layer.

    `depths` counts the convolutions of each stage. Images of 16 to 31 pixels have one position
    left before the last pooling, which is then left out.
    """

    depths: tuple[int, int, int, int, int]
    num_classes: int = 10
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=16)
        x, position = images, 0
        stages: dict[str, Array] = {}
        for stage, (width, depth) in enumerate(zip(_WIDTHS, self.depths, strict=True), start=1):
            for _ in range(depth):
                x = Conv(
                    width,
                    (3, 3),
                    padding=[(1, 1), (1, 1)],
                    kernel_init=kaiming_normal,
                    dtype=self.dtype,
                    name=f"features.{position}",
                )(x)
                norm = BatchNorm(0.9, 1e-5, dtype=self.dtype, name=f"features.{position + 1}")
                x = relu(norm(x, train=train))
                stages.setdefault("stem", x)
                position += 3
            stages[f"stage{stage}"] = x
            if min(x.shape[1:3]) > 1:
                x = ops.max_pool(x, 2)
            position += 1
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "vgg11_bn_cifar": Network(VGGCifar, {"depths": (1, 1, 2, 2, 2)}),
    "vgg13_bn_cifar": Network(VGGCifar, {"depths": (2, 2, 2, 2, 2)}),
    "vgg16_bn_cifar": Network(VGGCifar, {"depths": (2, 2, 3, 3, 3)}),
    "vgg19_bn_cifar": Network(VGGCifar, {"depths": (2, 2, 4, 4, 4)}),
}
