"""GhostNet: half of the channels of a layer are a cheap depthwise function of the other half.

Han et al. 2020 (arXiv:1911.11907), and GhostNetV2, with an attention along rows and columns: Tang
et al. 2022 (arXiv:2211.12905); as timm.models.ghostnet defines them.
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
    classify,
    hard_sigmoid,
    identity,
    relu,
    run,
    sigmoid,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["GROUPS", "NETWORKS", "GhostBottleneck", "GhostNet", "Group", "layer"]

# For each block (kernel size, expanded width, width, squeeze-excite, strides)
Group = tuple[tuple[int, int, int, bool, int], ...]

GROUPS: tuple[Group, ...] = (
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


def layer(
    x: Array,
    width: int,
    size: int | tuple[int, int] = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    names: tuple[str, str],
    dtype: DType,
    train: bool,
) -> Array:
    """A convolution and a norm, `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
    kernel_size = (size, size) if isinstance(size, int) else size
    x = Conv(
        width,
        kernel_size,
        strides,
        padding=[(k // 2, k // 2) for k in kernel_size],
        feature_group_count=groups,
        use_bias=False,
        kernel_init=uniform,
        dtype=dtype,
        name=names[0],
    )(x)
    return BatchNorm(0.9, 1e-5, dtype=dtype, name=names[1])(x, train=train)


class GhostBottleneck(nn.Module):
    """A ghost layer, maybe a strided depthwise one and squeeze-excite, a linear ghost layer.

    With `attention` a gate multiplies the first ghost layer: 2x2 means of the input through a 1x1,
    a depthwise 1x5 and a depthwise 5x1 layer and a sigmoid, each repeated 2x2. The shortcut is a
    depthwise and a 1x1 layer where the shape changes.
    """

    width: int
    inner: int
    kernel_size: int = 3
    squeeze_excite: bool = False
    strides: int = 1
    attention: bool = False
    dtype: DType = jnp.float32

    def ghost(self, x: Array, width: int, act: Activation, name: str, train: bool) -> Array:
        """A 1x1 layer to half of `width`, and beside it a depthwise 3x3 layer of that."""
        part, half = partial(layer, dtype=self.dtype, train=train), (width + 1) // 2
        names = f"{name}.primary_conv.0", f"{name}.primary_conv.1"
        first = act(part(x, half, names=names))
        names = f"{name}.cheap_operation.0", f"{name}.cheap_operation.1"
        second = act(part(first, half, 3, groups=half, names=names))
        return jnp.concatenate([first, second], axis=-1)[..., :width]

    def depthwise(self, x: Array, train: bool) -> Array:
        """The strided layer."""
        return layer(
            x,
            x.shape[-1],
            self.kernel_size,
            self.strides,
            groups=x.shape[-1],
            names=("conv_dw", "bn_dw"),
            dtype=self.dtype,
            train=train,
        )

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        part, channels = partial(layer, dtype=self.dtype, train=train), x.shape[-1]
        y = self.ghost(x, self.inner, relu, "ghost1", train)
        if self.attention:
            gate, groups = ops.avg_pool(x, 2), 1
            for at, size in ((0, 1), (2, (1, 5)), (4, (5, 1))):
                names = f"ghost1.short_conv.{at}", f"ghost1.short_conv.{at + 1}"
                gate = part(gate, self.inner, size, groups=groups, names=names)
                groups = self.inner
            y = y * _twice(sigmoid(gate), y)
        if self.strides > 1:
            y = self.depthwise(y, train)
        if self.squeeze_excite:
            y = SqueezeExcite(
                round_width(self.inner / 4, 4),
                gate=hard_sigmoid,
                names=("conv_reduce", "conv_expand"),
                bias_init=uniform_bias,
                dtype=self.dtype,
                name="se",
            )(y, train=train)
        y = self.ghost(y, self.width, identity, "ghost2", train)
        if self.strides > 1 or channels != self.width:
            names = "shortcut.0", "shortcut.1"
            x = part(x, channels, self.kernel_size, self.strides, groups=channels, names=names)
            x = part(x, self.width, names=("shortcut.2", "shortcut.3"))
        return x + y


def _twice(x: Array, like: Array) -> Array:
    """Repeat every position 2x2; where `like` is odd, the first one three times, as PyTorch does."""
    x = x.repeat(2, 1).repeat(2, 2)
    rows, columns = (n - m for n, m in zip(like.shape[1:3], x.shape[1:3], strict=True))
    return jnp.pad(x, ((0, 0), (rows, 0), (columns, 0), (0, 0)), mode="edge")


class GhostNet(nn.Module):
    """A strided stem, groups of `GhostBottleneck`, a 1x1 layer, pooling, two 1x1 layers.

    `width_mult` scales every width but the last 1280. `attention` is that of all blocks but the
    first two.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    groups: tuple[Group, ...] = GROUPS
    attention: bool = False
    dropout_rate: float = 0.2
    remat: bool = False
    dtype: DType = jnp.float32
    # The 1x1 layer's width over the last block's expanded one, a property of the class.
    last = 1

    def block(self, **fields: Any) -> nn.Module:
        """One of the blocks, of `GhostBottleneck`'s fields."""
        return GhostBottleneck(**fields)

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage ends before the next group with a stride; "stem" is all before the first.
        """
        # An attention has 2x2 means, at a stride of up to 32.
        check_images(self, images, smallest=33 if self.attention else 1)
        part = partial(layer, dtype=self.dtype, train=train)
        stem_width = round_width(16 * self.width_mult, 4)
        x = relu(part(images, stem_width, 3, 2, names=("conv_stem", "bn1")))
        stages, stage, at, expanded = {}, 0, 0, 0
        for group, rows in enumerate(self.groups):
            for index, (size, expanded, width, squeeze_excite, strides) in enumerate(rows):
                stage += strides - 1
                block = self.block(
                    width=round_width(width * self.width_mult, 4),
                    inner=round_width(expanded * self.width_mult, 4),
                    kernel_size=size,
                    squeeze_excite=squeeze_excite,
                    strides=strides,
                    attention=self.attention and at > 1,
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                at += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        name = f"blocks.{len(self.groups)}.0"
        last = round_width(self.last * expanded * self.width_mult, 4)
        x = relu(part(x, last, names=(f"{name}.conv", f"{name}.bn1")))
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = Conv(
            1280,
            (1, 1),
            kernel_init=uniform,
            bias_init=uniform_bias(last),
            dtype=self.dtype,
            name="conv_head",
        )(x)
        logits, stages["pre_logits"] = classify(
            relu(x)[:, 0, 0, :],
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "ghostnet_050": Network(GhostNet, {"width_mult": 0.5}),
    "ghostnet_100": Network(GhostNet, {"width_mult": 1.0}),
    "ghostnet_130": Network(GhostNet, {"width_mult": 1.3}),
    "ghostnetv2_100": Network(GhostNet, {"width_mult": 1.0, "attention": True}),
    "ghostnetv2_130": Network(GhostNet, {"width_mult": 1.3, "attention": True}),
    "ghostnetv2_160": Network(GhostNet, {"width_mult": 1.6, "attention": True}),
}
