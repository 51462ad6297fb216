"""VGG: plain stacks of 3x3 convolutions, with and without batch normalization.

Simonyan and Zisserman 2015 (arXiv:1409.1556), configurations A, B, D and E, as
torchvision.models.vgg defines them.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, flatten, kaiming_normal, relu
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "VGG"]

_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each halved by a maximum, and three linear layers.

    `depths` counts the convolutions of each stage. The last features are averaged to 7x7, so that
    the linear layers fit any image of at least 32x32; two of them are `hidden` wide.
    """

    depths: tuple[int, int, int, int, int]
    batch_norm: bool = False
    num_classes: int = 1000
    hidden: int = 4096
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" is the first layer, a stage what its last layer gives, before the maximum.
        """
        check_images(self, images, smallest=32)
        stages: dict[str, Array] = {}
        x, at = images, 0
        for stage, (width, depth) in enumerate(zip(_WIDTHS, self.depths, strict=True), start=1):
            for _ in range(depth):
                x = Conv(
                    width,
                    (3, 3),
                    padding=1,
                    kernel_init=kaiming_normal,
                    dtype=self.dtype,
                    name=f"features.{at}",
                )(x)
                if self.batch_norm:
                    norm = BatchNorm(0.9, 1e-5, dtype=self.dtype, name=f"features.{at + 1}")
                    x = norm(x, train=train)
                x = relu(x)
                stages.setdefault("stem", x)
                at += 3 if self.batch_norm else 2
            stages[f"stage{stage}"] = x
            x = ops.max_pool(x, 2)
            at += 1
        x = flatten(ops.adaptive_avg_pool(x, 7))
        init = nn.initializers.normal(0.01)
        linear = partial(nn.Dense, self.hidden, dtype=self.dtype, kernel_init=init)
        x = relu(linear(name="classifier.0")(x))
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        x = relu(linear(name="classifier.3")(x))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.6",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=init,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "vgg11": Network(VGG, {"depths": (1, 1, 2, 2, 2), "batch_norm": False}),
    "vgg13": Network(VGG, {"depths": (2, 2, 2, 2, 2), "batch_norm": False}),
    "vgg16": Network(VGG, {"depths": (2, 2, 3, 3, 3), "batch_norm": False}),
    "vgg19": Network(VGG, {"depths": (2, 2, 4, 4, 4), "batch_norm": False}),
    "vgg11_bn": Network(VGG, {"depths": (1, 1, 2, 2, 2), "batch_norm": True}),
    "vgg13_bn": Network(VGG, {"depths": (2, 2, 2, 2, 2), "batch_norm": True}),
    "vgg16_bn": Network(VGG, {"depths": (2, 2, 3, 3, 3), "batch_norm": True}),
    "vgg19_bn": Network(VGG, {"depths": (2, 2, 4, 4, 4), "batch_norm": True}),
}
