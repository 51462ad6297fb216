"""LeNet-5: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
recognition".

The usual modern reading: full connections from the 6 to the 16 maps, averages without trainable
coefficients, and a linear last layer instead of radial basis functions: 61,706 parameters.
"""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, classify, flatten, tanh
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "LeNet"]


class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling, and three linear layers.

    `padding` of the first convolution is 2 for 28-pixel images, so that they are as large as the
    paper's 32-pixel ones after it; 0 for 32 pixels.
    """

    num_classes: int = 10
    padding: int = 2
    act: Activation = tanh
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=16 - 2 * self.padding)
        pad = [(self.padding, self.padding)] * 2
        x = self.act(Conv(6, (5, 5), padding=pad, dtype=self.dtype, name="conv1")(images))
        stages = {"stem": x}
        x = ops.avg_pool(x, 2)
        x = self.act(Conv(16, (5, 5), padding="VALID", dtype=self.dtype, name="conv2")(x))
        stages["stage1"] = x
        x = flatten(ops.avg_pool(x, 2))
        x = self.act(nn.Dense(120, dtype=self.dtype, name="fc1")(x))
        x = self.act(nn.Dense(84, dtype=self.dtype, name="fc2")(x))
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="fc3", dtype=self.dtype
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "lenet5": Network(LeNet),
    "lenet5_cifar": Network(LeNet, {"padding": 0}),
}
