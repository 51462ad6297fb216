"""Network in network: Lin, Chen and Yan 2014 (arXiv:1312.4400).

Each convolution is followed by two 1x1 convolutions; the last has one map per class, and its
global average is the logit: there is no linear layer.
"""

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, kaiming_fan_in, relu, widen
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "NetworkInNetwork"]


class NetworkInNetwork(nn.Module):
    """Three blocks of a k x k and two 1x1 convolutions, with 3x3 pooling of stride 2 between."""

    num_classes: int = 10
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=4)
        x, stages = images, {}
        rows = ((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, self.num_classes))
        for stage, (size, *widths) in enumerate(rows, start=1):
            for index, width in enumerate(widths):
                k = size if index == 0 else 1
                name = f"features.stage{stage}.unit{index + 1}.conv"
                pad = [(k // 2, k // 2)] * 2
                conv = Conv(
                    width,
                    (k, k),
                    padding=pad,
                    kernel_init=kaiming_fan_in,
                    dtype=self.dtype,
                    name=name,
                )
                last, x = x, relu(conv(x))
            stages[f"stage{stage}"] = x
            if stage < 3:
                pool = ops.max_pool if stage == 1 else ops.avg_pool
                x = pool(x, 3, strides=2, padding=1)
                x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = widen(ops.global_avg_pool(x))
        if not features:
            return logits
        pre_logits = ops.global_avg_pool(last)
        return logits, {"stem": stages["stage1"], **stages, "pre_logits": pre_logits}


NETWORKS = {"nin_cifar": Network(NetworkInNetwork)}
