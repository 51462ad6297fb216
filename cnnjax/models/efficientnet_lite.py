"""EfficientNet-Lite: EfficientNet without squeeze-excite, with ReLU6, for devices that quantise.

Tan and Le 2019 (arXiv:1905.11946); the lite variants are in tensorflow/tpu
(models/official/efficientnet/lite). As timm.models.efficientnet defines them: the stem, the last
layer and the depths of the first and last groups are not scaled.
"""

from functools import partial
from math import ceil
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import BatchNorm, Conv, DropPath, relu6, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "EfficientNetLite", "LiteBlock"]

# (expansion, kernel size, strides of the first block, width, blocks)
_GROUPS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def _conv(
    features: int, size: int, strides: int, padding: str | None, groups: int, **fields: Any
) -> Conv:
    # The reference counts one group's outputs for the deviation: k * k of a depthwise kernel, which
    # is its fan-in.
    fan: Any = "fan_out" if groups == 1 else "fan_in"
    return Conv(
        features,
        (size, size),
        strides,
        padding=size // 2 if padding is None else padding,
        feature_group_count=groups,
        use_bias=False,
        kernel_init=nn.initializers.variance_scaling(2.0, fan, "normal"),
        **fields,
    )


class LiteBlock(nn.Module):
    """A 1x1 expansion, a depthwise layer and a linear 1x1, with a shortcut where shapes agree.

    `padding` None pads symmetrically; "SAME" as TensorFlow does, which differs at stride 2.
    """

    width: int
    kernel_size: int = 3
    strides: int = 1
    expansion: int = 6
    padding: str | None = None
    epsilon: float = 1e-5
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(_conv, padding=self.padding, dtype=self.dtype)
        norm = partial(BatchNorm, momentum=0.9, epsilon=self.epsilon, dtype=self.dtype)
        inner, size, strides = x.shape[-1] * self.expansion, self.kernel_size, self.strides
        if self.expansion == 1:
            y = conv(inner, size, strides, groups=inner, name="conv_dw")(x)
            y = relu6(norm(name="bn1")(y, train=train))
            y = conv(self.width, 1, 1, groups=1, name="conv_pw")(y)
            y = norm(name="bn2")(y, train=train)
        else:
            y = conv(inner, 1, 1, groups=1, name="conv_pw")(x)
            y = relu6(norm(name="bn1")(y, train=train))
            y = conv(inner, size, strides, groups=inner, name="conv_dw")(y)
            y = relu6(norm(name="bn2")(y, train=train))
            y = conv(self.width, 1, 1, groups=1, name="conv_pwl")(y)
            y = norm(name="bn3")(y, train=train)
        if strides > 1 or x.shape != y.shape:
            return y
        return x + DropPath(self.drop_path_rate)(y, train=train)


class EfficientNetLite(nn.Module):
    """A strided stem, seven groups of `LiteBlock`, a 1x1 layer, pooling and a linear layer.

    `width_mult` and `depth_mult` scale the groups. `padding` is "SAME" for weights born in
    TensorFlow, whose `epsilon` is 1e-3; None pads symmetrically. `drop_path_rate` grows linearly
    from 0 at the first block.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    depth_mult: float = 1.0
    padding: str | None = None
    epsilon: float = 1e-5
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next group with a stride; "stem" is all before the first.
        """
        check_images(self, images)
        conv = partial(_conv, padding=self.padding, dtype=self.dtype)
        norm = partial(BatchNorm, momentum=0.9, epsilon=self.epsilon, dtype=self.dtype)
        x = conv(32, 3, 2, groups=1, name="conv_stem")(images)
        x = relu6(norm(name="bn1")(x, train=train))
        depths = [ceil(depth * self.depth_mult) for *_, depth in _GROUPS]
        depths[0] = depths[-1] = 1
        stages, stage, block_index = {}, 0, 0
        for group, (expansion, size, strides, width, _) in enumerate(_GROUPS):
            stage += strides - 1
            for index in range(depths[group]):
                block = LiteBlock(
                    round_width(width * self.width_mult),
                    kernel_size=size,
                    strides=strides if index == 0 else 1,
                    expansion=expansion,
                    padding=self.padding,
                    epsilon=self.epsilon,
                    drop_path_rate=self.drop_path_rate * block_index / sum(depths),
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        x = conv(1280, 1, 1, groups=1, name="conv_head")(x)
        x = ops.global_avg_pool(relu6(norm(name="bn2")(x, train=train)))
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        logits = nn.Dense(
            self.num_classes,
            dtype=self.dtype,
            kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform"),
            name="classifier",
        )(x)
        logits = logits.astype(jnp.float32)
        return (logits, stages) if features else logits


def _row(width: float, depth: float, *row: Any, **fields: Any) -> Network:
    input_size, parameters, statistics, gmacs, accuracy, weights = row
    return Network(
        EfficientNetLite,
        {"width_mult": width, "depth_mult": depth, **fields},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_TF = {"padding": "SAME", "epsilon": 1e-3}

# fmt: off
NETWORKS = {
    # width, depth, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, top-1, weights
    "efficientnet_lite0": _row(1.0, 1.0, 224, 4_652_008, 42_016, 0.3852, 75.488, "ra_in1k"),
    "efficientnet_lite1": _row(1.0, 1.1, 240, 5_416_680, 53_664, 0.6002, None, None),
    "efficientnet_lite2": _row(1.1, 1.2, 260, 6_092_072, 58_096, 0.8597, None, None),
    "efficientnet_lite3": _row(1.2, 1.4, 300, 8_197_096, 76_672, 1.608, None, None),
    "efficientnet_lite4": _row(1.4, 1.8, 380, 13_006_568, 112_368, 3.944, None, None),
    "tf_efficientnet_lite0": _row(1.0, 1.0, 224, 4_652_008, 42_016, 0.3852, 74.846, "in1k", **_TF),
    "tf_efficientnet_lite1": _row(1.0, 1.1, 240, 5_416_680, 53_664, 0.6002, 76.674, "in1k", **_TF),
    "tf_efficientnet_lite2": _row(1.1, 1.2, 260, 6_092_072, 58_096, 0.8597, 77.47, "in1k", **_TF),
    "tf_efficientnet_lite3": _row(1.2, 1.4, 300, 8_197_096, 76_672, 1.608, 79.808, "in1k", **_TF),
    "tf_efficientnet_lite4": _row(1.4, 1.8, 380, 13_006_568, 112_368, 3.944, 81.54, "in1k", **_TF),
}
# fmt: on
