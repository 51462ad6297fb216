"""ShuffleNetV2: half of the channels pass by, and a shuffle mixes the halves.

Ma et al. 2018 (arXiv:1807.11164), as torchvision.models.shufflenetv2 defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "ShuffleNetV2", "ShuffleUnit", "channel_shuffle"]

_conv = partial(Conv, use_bias=False, kernel_init=uniform)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)

_DEPTHS = (4, 8, 4)


def channel_shuffle(x: Array, groups: int) -> Array:
    """Take the channels of `[B, H, W, C]` in turn from each of `groups` runs of channels.

    >>> channel_shuffle(jnp.arange(6.0).reshape(1, 1, 1, 6), 2).ravel().tolist()
    [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """
    split = x.reshape(*x.shape[:3], groups, x.shape[3] // groups)
    return split.swapaxes(3, 4).reshape(x.shape)


class ShuffleUnit(nn.Module):
    """Two branches of `width / 2` channels, shuffled together.

    At stride 1 the first branch is the first half of the input as it is; at stride 2 both branches
    read all of it.
    """

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        half = self.width // 2

        def point(x: Array, branch: int, at: int) -> Array:
            x = _conv(half, (1, 1), dtype=self.dtype, name=f"branch{branch}.{at}")(x)
            norm = _norm(dtype=self.dtype, name=f"branch{branch}.{at + 1}")
            return relu(norm(x, train=train))

        def depthwise(x: Array, branch: int, at: int) -> Array:
            x = _conv(
                x.shape[-1],
                (3, 3),
                self.strides,
                padding=1,
                feature_group_count=x.shape[-1],
                dtype=self.dtype,
                name=f"branch{branch}.{at}",
            )(x)
            return _norm(dtype=self.dtype, name=f"branch{branch}.{at + 1}")(x, train=train)

        if self.strides == 1:
            passed, x = x[..., :half], x[..., half:]
        else:
            passed = point(depthwise(x, 1, 0), 1, 2)
        x = point(depthwise(point(x, 2, 0), 2, 3), 2, 5)
        return channel_shuffle(jnp.concatenate([passed, x], axis=-1), 2)


class ShuffleNetV2(nn.Module):
    """A strided stem, three stages of shuffle units, a 1x1 layer, pooling and a linear layer.

    `widths` are those of the stem, the three stages and the last 1x1 layer.
    """

    widths: tuple[int, int, int, int, int]
    num_classes: int = 1000
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)

        def layer(x: Array, name: str, width: int, size: int, strides: int) -> Array:
            x = _conv(
                width,
                (size, size),
                strides,
                padding=size // 2,
                dtype=self.dtype,
                name=f"{name}.0",
            )(x)
            return relu(_norm(dtype=self.dtype, name=f"{name}.1")(x, train=train))

        x = layer(images, "conv1", self.widths[0], 3, 2)
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, padding=1)
        for stage, depth in enumerate(_DEPTHS, start=1):
            for index in range(depth):
                # The reference counts the stem's maximum as the first stage.
                unit = ShuffleUnit(
                    self.widths[stage],
                    strides=2 if index == 0 else 1,
                    dtype=self.dtype,
                    name=f"stage{stage + 1}.{index}",
                )
                x = run(unit, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        x = layer(x, "conv5", self.widths[4], 1, 1)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "shufflenet_v2_x0_5": Network(ShuffleNetV2, {"widths": (24, 48, 96, 192, 1024)}),
    "shufflenet_v2_x1_0": Network(ShuffleNetV2, {"widths": (24, 116, 232, 464, 1024)}),
    "shufflenet_v2_x1_5": Network(ShuffleNetV2, {"widths": (24, 176, 352, 704, 1024)}),
    "shufflenet_v2_x2_0": Network(ShuffleNetV2, {"widths": (24, 244, 488, 976, 2048)}),
}
