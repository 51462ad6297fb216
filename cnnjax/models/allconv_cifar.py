"""The all-convolutional net: strided convolutions in place of pooling, and no linear layer.

Springenberg et al. 2015, "Striving for Simplicity" (arXiv:1412.6806), All-CNN-A, B and C of tables
1 and 2. The padding is what leaves 6x6 positions of 32x32 pixels for the last average, as the
paper says: every convolution keeps its size but the last 3x3, which is unpadded.
"""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, kaiming_fan_in, relu, widen
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "AllConvolutional"]


class AllConvolutional(nn.Module):
    """Two stages of convolutions that end in a strided 3x3, and a 3x3 and two 1x1 convolutions.

    `sizes` are the kernel sizes of a stage before its strided convolution. Every convolution has a
    ReLU, the last too; its maps are averaged to the logits.
    "pre_logits" is the average of what the last of them is given, in which logits are not linear.
    `input_dropout_rate` is that of pixels,
    `dropout_rate` that of what the strided convolutions put out.
    """

    sizes: tuple[int, ...]
    num_classes: int = 10
    input_dropout_rate: float = 0.2
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=9)

        def layer(x: Array, width: int, size: int, name: str, strides: int = 1) -> Array:
            padding = 0 if name == "stage3.conv1" else size // 2
            conv = Conv(
                width,
                (size, size),
                strides,
                padding=padding,
                kernel_init=kaiming_fan_in,
                dtype=self.dtype,
                name=name,
            )
            return relu(conv(x))

        x = nn.Dropout(self.input_dropout_rate, deterministic=not train)(images)
        stages: dict[str, Array] = {}
        for stage, width in enumerate((96, 192), start=1):
            for index, size in enumerate(self.sizes, start=1):
                x = layer(x, width, size, f"stage{stage}.conv{index}")
                stages.setdefault("stem", x)
            x = layer(x, width, 3, f"stage{stage}.conv{len(self.sizes) + 1}", strides=2)
            stages[f"stage{stage}"] = x
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        x = layer(x, 192, 3, "stage3.conv1")
        x = stages["stage3"] = layer(x, 192, 1, "stage3.conv2")
        x = layer(x, self.num_classes, 1, "classifier")
        logits = widen(ops.global_avg_pool(x))
        if not features:
            return logits
        return logits, {**stages, "pre_logits": ops.global_avg_pool(stages["stage3"])}


NETWORKS = {
    "allconv_a_cifar": Network(AllConvolutional, {"sizes": (5,)}),
    "allconv_b_cifar": Network(AllConvolutional, {"sizes": (5, 1)}),
    "allconv_c_cifar": Network(AllConvolutional, {"sizes": (3, 3)}),
}
