"""GhostNet: half of the channels of a layer are a cheap depthwise function of the other half.

Han et al. 2020 (arXiv:1911.11907), as timm.models.ghostnet defines it.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    SqueezeExcite,
    hard_sigmoid,
    identity,
    relu,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "GhostBottleneck", "GhostNet"]

_conv = partial(Conv, use_bias=False, kernel_init=uniform)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)

# One tuple for each group: (kernel size, expanded width, width, squeeze-excite, strides)
_GROUPS = (
    ((3, 16, 16, False, 1),),
    ((3, 48, 24, False, 2),),
    ((3, 72, 24, False, 1),),
    ((5, 72, 40, True, 2),),
    ((5, 120, 40, True, 1),),
    ((3, 240, 80, False, 2),),
    (
        (3, 200, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 480, 112, True, 1),
        (3, 672, 112, True, 1),
    ),
    ((5, 672, 160, True, 2),),
    (
        (5, 960, 160, False, 1),
        (5, 960, 160, True, 1),
        (5, 960, 160, False, 1),
        (5, 960, 160, True, 1),
    ),
)


def _ghost(x: Array, width: int, act: Activation, *, dtype: DType, name: str, train: bool) -> Array:
    """A 1x1 layer to half of `width`, and beside it a depthwise 3x3 layer of that."""
    conv, norm, half = partial(_conv, dtype=dtype), partial(_norm, dtype=dtype), (width + 1) // 2
    first = conv(half, (1, 1), name=f"{name}.primary_conv.0")(x)
    first = act(norm(name=f"{name}.primary_conv.1")(first, train=train))
    second = conv(
        half, (3, 3), padding=1, feature_group_count=half, name=f"{name}.cheap_operation.0"
    )(first)
    second = act(norm(name=f"{name}.cheap_operation.1")(second, train=train))
    return jnp.concatenate([first, second], axis=-1)[..., :width]


class GhostBottleneck(nn.Module):
    """A ghost layer, maybe a strided depthwise one and squeeze-excite, a linear ghost layer.

    The shortcut is a depthwise and a 1x1 layer where the shape changes.
    """

    width: int
    inner: int
    kernel_size: int = 3
    squeeze_excite: bool = False
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        ghost = partial(_ghost, dtype=self.dtype, train=train)
        channels, size = x.shape[-1], self.kernel_size
        depthwise = partial(conv, kernel_size=(size, size), strides=self.strides, padding=size // 2)
        y = ghost(x, self.inner, relu, name="ghost1")
        if self.strides > 1:
            y = depthwise(self.inner, feature_group_count=self.inner, name="conv_dw")(y)
            y = norm(name="bn_dw")(y, train=train)
        if self.squeeze_excite:
            y = SqueezeExcite(
                round_width(self.inner / 4, 4),
                gate=hard_sigmoid,
                names=("conv_reduce", "conv_expand"),
                bias_init=uniform_bias,
                dtype=self.dtype,
                name="se",
            )(y)
        y = ghost(y, self.width, identity, name="ghost2")
        if self.strides > 1 or channels != self.width:
            x = depthwise(channels, feature_group_count=channels, name="shortcut.0")(x)
            x = norm(name="shortcut.1")(x, train=train)
            x = conv(self.width, (1, 1), name="shortcut.2")(x)
            x = norm(name="shortcut.3")(x, train=train)
        return x + y


class GhostNet(nn.Module):
    """A strided stem, nine groups of `GhostBottleneck`, a 1x1 layer, pooling, two 1x1 layers.

    `width_mult` scales every width but the last 1280.
    """

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

        A stage ends before the next group with a stride; "stem" is all before the first.
        """
        check_images(self, images)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(round_width(16 * self.width_mult, 4), (3, 3), 2, padding=1, name="conv_stem")(
            images
        )
        x = relu(norm(name="bn1")(x, train=train))
        stages, stage, inner = {}, 0, 0
        for group, rows in enumerate(_GROUPS):
            for index, (size, expanded, width, squeeze_excite, strides) in enumerate(rows):
                stage += strides - 1
                inner = round_width(expanded * self.width_mult, 4)
                block = GhostBottleneck(
                    round_width(width * self.width_mult, 4),
                    inner,
                    kernel_size=size,
                    squeeze_excite=squeeze_excite,
                    strides=strides,
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage}" if stage else "stem"] = x
        x = conv(inner, (1, 1), name="blocks.9.0.conv")(x)
        x = relu(norm(name="blocks.9.0.bn1")(x, train=train))
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = conv(1280, (1, 1), use_bias=True, bias_init=uniform_bias(inner), name="conv_head")(x)
        x = nn.Dropout(self.dropout_rate, deterministic=not train)(relu(x)[:, 0, 0, :])
        logits = nn.Dense(
            self.num_classes,
            dtype=self.dtype,
            kernel_init=uniform,
            bias_init=uniform_bias(1280),
            name="classifier",
        )(x)
        logits = logits.astype(jnp.float32)
        return (logits, stages) if features else logits


def _row(width: float, *row: Any) -> Network:
    parameters, statistics, gmacs, accuracy, weights = row
    return Network(
        GhostNet,
        {"width_mult": width},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        reference="timm",
        accuracy=accuracy,
        accuracy_source="" if weights else "arXiv:1911.11907",
        weights=weights,
    )


NETWORKS = {
    # width, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, weights
    "ghostnet_050": _row(0.5, 2_587_292, 10_984, 0.04233, 66.2, None),
    "ghostnet_100": _row(1.0, 5_182_508, 21_968, 0.1412, 73.958, "in1k"),
    "ghostnet_130": _row(1.3, 7_358_820, 28_536, 0.227, 75.7, None),
}
