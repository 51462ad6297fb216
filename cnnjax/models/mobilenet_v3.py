"""MobileNetV3: searched inverted residuals with squeeze-excite and hard-swish.

Howard et al. 2019 (arXiv:1905.02244), as torchvision.models.mobilenetv3 defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    SqueezeExcite,
    classify,
    hard_sigmoid,
    hard_swish,
    kaiming_normal,
    relu,
    run,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "InvertedResidual", "MobileNetV3"]

Row = tuple[int, int, int, bool, bool, int]

_norm = partial(BatchNorm, momentum=0.99, epsilon=1e-3)
_layer = partial(ConvNormAct, norm=_norm, act=hard_swish, names=("0", "1"))
_linear_init = nn.initializers.normal(0.01)


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise layer, squeeze-excite and a linear 1x1, with a shortcut.

    There is no expansion where `expanded` is already the width of the input.
    """

    kernel_size: int
    expanded: int
    width: int
    squeeze: bool
    swish: bool
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        act = hard_swish if self.swish else relu
        layer = partial(_layer, act=act, dtype=self.dtype)
        y, at = x, 0
        if self.expanded != x.shape[-1]:
            y, at = layer(self.expanded, 1, name="block.0")(y, train=train), 1
        y = layer(
            self.expanded,
            self.kernel_size,
            self.strides,
            groups=self.expanded,
            name=f"block.{at}",
        )(y, train=train)
        if self.squeeze:
            at += 1
            y = SqueezeExcite(
                round_width(self.expanded // 4),
                gate=hard_sigmoid,
                kernel_init=kaiming_normal,
                dtype=self.dtype,
                name=f"block.{at}",
            )(y, train=train)
        y = layer(self.width, 1, act=None, name=f"block.{at + 1}")(y, train=train)
        return x + y if self.strides == 1 and x.shape == y.shape else y


class MobileNetV3(nn.Module):
    """A strided stem, inverted residuals, a 1x1 layer, pooling and two linear layers.

    A row of `rows` is a block: kernel size, expanded width, width, whether it has squeeze-excite,
    whether hard-swish (else ReLU), strides. `last_width` is that of the hidden linear layer.
    `width_mult` scales every width.
    """

    rows: tuple[Row, ...]
    last_width: int
    num_classes: int = 1000
    width_mult: float = 1.0
    dropout_rate: float = 0.2
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next stride; "stem" is all before the first block with one.
        """
        check_images(self, images)

        def scaled(width: int) -> int:
            return round_width(width * self.width_mult)

        layer = partial(_layer, dtype=self.dtype)
        x = layer(scaled(16), 3, 2, name="features.0")(images, train=train)
        stages, stage = {"stem": x}, 0
        for index, (size, expanded, width, squeeze, swish, strides) in enumerate(self.rows, 1):
            block = InvertedResidual(
                size,
                scaled(expanded),
                scaled(width),
                squeeze=squeeze,
                swish=swish,
                strides=strides,
                dtype=self.dtype,
                name=f"features.{index}",
            )
            x = run(block, x, train=train, remat=self.remat)
            stage += strides - 1
            stages[f"stage{stage}" if stage else "stem"] = x
        x = layer(6 * x.shape[-1], 1, name=f"features.{len(self.rows) + 1}")(x, train=train)
        x = ops.global_avg_pool(x)
        linear = partial(nn.Dense, dtype=self.dtype, kernel_init=_linear_init)
        x = hard_swish(linear(scaled(self.last_width), name="classifier.0")(x))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier.3",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_linear_init,
        )
        return (logits, stages) if features else logits


# Tables 1 and 2 of the paper: kernel, expanded, width, squeeze-excite, hard-swish, strides.
_LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)

NETWORKS = {
    "mobilenet_v3_large": Network(
        MobileNetV3,
        {"rows": _LARGE, "last_width": 1280},
        parameters=5_483_032,
        batch_statistics=24_400,
        multiply_adds=0.2166,
        reference="torchvision",
        accuracy=75.274,
        weights="IMAGENET1K_V2",
    ),
    "mobilenet_v3_small": Network(
        MobileNetV3,
        {"rows": _SMALL, "last_width": 1024},
        parameters=2_542_856,
        batch_statistics=12_112,
        multiply_adds=0.05651,
        reference="torchvision",
        accuracy=67.668,
        weights="IMAGENET1K_V1",
    ),
}
