"""CSPNet: stages of which only one half of the channels passes through the blocks.

Wang et al. 2019 (arXiv:1911.11929), as timm.models.cspnet defines it; the stages of its "cs3"
networks join the halves by one layer instead of two.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    SqueezeExcite,
    classify,
    drop_path,
    drop_path_rates,
    kaiming_normal,
    leaky_relu,
    run,
    silu,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "NETWORKS",
    "CspBottleneck",
    "CspNet",
    "CspStage",
    "DarkBlock",
    "JointStage",
    "Stem",
    "run_blocks",
]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
# The last norm of a block starts at zero.
_last_norm = partial(_norm, scale_init=nn.initializers.zeros_init())


def _squeeze_excite(
    x: Array, share: float | None, act: Activation, name: str, *, train: bool
) -> Array:
    """Squeeze-excite to `share` of the channels, in multiples of 8; the identity for None."""
    if share is None:
        return x
    squeezed = max(8, int(x.shape[-1] * share + 4) // 8 * 8)
    attention = SqueezeExcite(
        squeezed, act=act, kernel_init=kaiming_normal, dtype=x.dtype, name=name
    )
    return attention(x, train=train)


class CspBottleneck(nn.Module):
    """1x1, 3x3 (grouped) and 1x1 layers, added to the input and activated.

    Inside are `ratio` of the channels; `squeeze` is the share of squeeze-excite, None for none.
    """

    ratio: float
    squeeze: float | None = None
    groups: int = 1
    act: Activation = leaky_relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        layer = partial(ConvNormAct, act=self.act, dtype=self.dtype)
        inner = round(x.shape[-1] * self.ratio)
        y = layer(inner, 1, name="conv1")(x, train=train)
        y = layer(inner, 3, groups=self.groups, name="conv2")(y, train=train)
        y = _squeeze_excite(y, self.squeeze, self.act, "attn2", train=train)
        last = partial(ConvNormAct, norm=_last_norm, act=None, dtype=self.dtype, name="conv3")
        y = last(x.shape[-1], 1)(y, train=train)
        return self.act(drop_path(y, self.drop_path_rate, train=train) + x)


class DarkBlock(nn.Module):
    """A 1x1 and a 3x3 layer (grouped), both activated, added to the input.

    Between them are `ratio` of the channels, with squeeze-excite to the share `squeeze` of those
    if it is not None. `edge` puts the 3x3 layer first.
    """

    ratio: float
    squeeze: float | None = None
    edge: bool = False
    groups: int = 1
    act: Activation = leaky_relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        pointwise = partial(ConvNormAct, kernel_size=1)
        spatial = partial(ConvNormAct, kernel_size=3, groups=self.groups)
        first, second = (spatial, pointwise) if self.edge else (pointwise, spatial)
        settings: dict[str, Any] = {"act": self.act, "dtype": self.dtype}
        y = first(round(x.shape[-1] * self.ratio), **settings, name="conv1")(x, train=train)
        y = _squeeze_excite(y, self.squeeze, self.act, "attn", train=train)
        y = second(x.shape[-1], norm=_last_norm, **settings, name="conv2")(y, train=train)
        return drop_path(y, self.drop_path_rate, train=train) + x


def run_blocks(stage: Any, x: Array, *, train: bool, **fields: Any) -> Array:
    """Run a block for each of the stage's `rates`, in its `__call__`; `fields` go to them all.

    `x` is `[B, H, W, C]`, as is what they return. `stage.block` is called with `act`,
    `drop_path_rate`, `dtype` and `name`.
    """
    settings: dict[str, Any] = {"act": stage.act, "dtype": stage.dtype, **fields}
    for index, rate in enumerate(stage.rates):
        block = stage.block(drop_path_rate=rate, name=f"blocks.{index}", **settings)
        x = run(block, x, train=train, remat=stage.remat)
    return x


class CspStage(nn.Module):
    """A strided 3x3 layer, a 1x1 layer, blocks on one half of its channels, and a 1x1 layer.

    `run_blocks` runs the blocks, with `groups`. Both halves together have `expansion` times
    `width` channels, without activation if `linear`. `grow`: the strided layer has `width`
    channels, not those of its input. Another 1x1 layer follows the blocks.
    """

    # Eleven fields: a stage's sizes, and in what those of three papers' networks differ.
    block: Callable[..., nn.Module]
    width: int
    rates: tuple[float, ...]
    strides: int = 2
    groups: int = 1
    expansion: float = 1.0
    linear: bool = False
    grow: bool = False
    act: Activation = leaky_relu
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(ConvNormAct, act=self.act, dtype=self.dtype)
        if self.strides > 1:
            width = self.width if self.grow else x.shape[-1]
            down = layer(width, 3, self.strides, groups=self.groups, name="conv_down")
            x = down(x, train=train)
        half = round(self.width * self.expansion) // 2
        act = None if self.linear else self.act
        x = layer(2 * half, 1, act=act, name="conv_exp")(x, train=train)
        kept, y = jnp.split(x, 2, axis=-1)
        y = run_blocks(self, y, train=train, groups=self.groups)
        y = layer(half, 1, name="conv_transition_b")(y, train=train)
        y = jnp.concatenate([kept, y], axis=-1)
        return layer(self.width, 1, name="conv_transition")(y, train=train)


class JointStage(nn.Module):
    """A strided 3x3 layer, a 1x1 layer, `run_blocks` on one half of its channels, a 1x1 layer."""

    block: Callable[..., nn.Module]
    width: int
    rates: tuple[float, ...]
    act: Activation = leaky_relu
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / 2, W / 2, width]`."""
        layer = partial(ConvNormAct, act=self.act, dtype=self.dtype)
        x = layer(x.shape[-1], 3, 2, name="conv_down")(x, train=train)
        x = layer(self.width, 1, name="conv_exp")(x, train=train)
        y, kept = jnp.split(x, 2, axis=-1)
        y = jnp.concatenate([run_blocks(self, y, train=train), kept], axis=-1)
        return layer(self.width, 1, name="conv_transition")(y, train=train)


@dataclasses.dataclass(frozen=True)
class Stem:
    """The first layers: of `widths`, `size` pixels, the first strided, then maybe a maximum.

    Attributes:
        widths: of the layers.
        size: of their kernels.
        strides: of the first.
        pool: whether a 3x3 maximum of stride 2 follows.
    """

    widths: tuple[int, ...]
    size: int = 3
    strides: int = 2
    pool: bool = False

    def layers(self, act: Activation, dtype: DType) -> Iterator[nn.Module]:
        """Yield the layers, `stem.conv1` and so on in the network that asks for them."""
        for index, width in enumerate(self.widths):
            strides, name = 1 if index else self.strides, f"stem.conv{index + 1}"
            yield ConvNormAct(width, self.size, strides, act=act, dtype=dtype, name=name)


class CspNet(nn.Module):
    """A stem, stages, global average pooling and a linear layer.

    Each of `stages` is called with `rates`, the drop-path rates of its blocks, `act`, `remat`,
    `dtype` and `name`; `depths` counts the blocks. `drop_path_rate` grows linearly from 0 at the
    first block.
    """

    stages: tuple[Callable[..., nn.Module], ...]
    depths: tuple[int, ...]
    stem: Stem
    act: Activation = leaky_relu
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=32)
        x = images
        for layer in self.stem.layers(self.act, self.dtype):
            x = layer(x, train=train)
        maps = {"stem": x}
        if self.stem.pool:
            x = ops.max_pool(x, 3, strides=2, padding=1)
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        for index, stage in enumerate(self.stages):
            x = stage(
                rates=rates[index],
                act=self.act,
                remat=self.remat,
                dtype=self.dtype,
                name=f"stages.{index}",
            )(x, train=train)
            maps[f"stage{index + 1}"] = x
        logits, maps["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, maps) if features else logits


Stages = tuple[Callable[..., nn.Module], ...]

_PLAIN, _DEEP = Stem((64,), size=7, pool=True), Stem((32, 32, 64), pool=True)


def _of_widths(stages: Stages, widths: tuple[int, ...]) -> Stages:
    return tuple(partial(stage, width=width) for stage, width in zip(stages, widths, strict=True))


def _resnet(
    ratio: float, expansion: float, scale: int, groups: int = 1, stem: Stem = _PLAIN
) -> dict[str, Any]:
    """Return fields of a CSPResNet: bottlenecks, a stem with a maximum, a stage without stride."""
    block = partial(CspBottleneck, ratio=ratio)
    stage = partial(CspStage, block, groups=groups, expansion=expansion, linear=True)
    widths = tuple(scale * 128 * 2**index for index in range(4))
    return {
        "stages": _of_widths((partial(stage, strides=1), stage, stage, stage), widths),
        "depths": (3, 3, 5, 2),
        "stem": stem,
    }


def _cs3(size: str, block: Callable[..., nn.Module] | None = None) -> dict[str, Any]:
    """Return fields of a "cs3" network: its widths and depths from a size, s to x."""
    scale, depths = {
        "s": (4, (1, 3, 4, 1)),
        "m": (6, (2, 4, 6, 2)),
        "l": (8, (3, 6, 9, 3)),
        "x": (10, (3, 7, 11, 3)),
    }[size]
    stage = partial(JointStage, block or partial(DarkBlock, ratio=1.0))
    return {
        "stages": _of_widths((stage,) * 4, tuple(scale * 16 * 2**index for index in range(4))),
        "depths": depths,
        "stem": Stem((4 * scale, 8 * scale)),
        "act": silu,
    }


_CROSS: dict[str, Any] = {
    "stages": _of_widths(
        (
            partial(CspStage, partial(DarkBlock, ratio=0.5), expansion=2.0, grow=True),
            *(partial(CspStage, partial(DarkBlock, ratio=1.0), grow=True),) * 4,
        ),
        (64, 128, 256, 512, 1024),
    ),
    "depths": (1, 2, 8, 8, 4),
    "stem": Stem((32,), strides=1),
}
_SQUEEZED = partial(CspStage, partial(CspBottleneck, ratio=0.5, squeeze=1 / 16))
_DEPTHWISE: dict[str, Any] = {
    "stages": _of_widths(
        tuple(partial(_SQUEEZED, groups=groups) for groups in (1, 1, 256, 512)),
        (256, 512, 1024, 2048),
    ),
    "depths": (3, 6, 12, 4),
    "stem": Stem((32, 64)),
    "act": silu,
}
_EDGE = partial(DarkBlock, ratio=1.5, edge=True)

# fmt: off
NETWORKS = {
    "cspresnet50": Network(CspNet, _resnet(0.5, 2.0, 1)),
    "cspresnet50d": Network(CspNet, _resnet(0.5, 2.0, 1, stem=_DEEP)),
    "cspresnet50w": Network(CspNet, _resnet(0.25, 1.0, 2, stem=_DEEP)),
    "cspresnext50": Network(CspNet, _resnet(1.0, 1.0, 2, groups=32)),
    "cspdarknet53": Network(CspNet, _CROSS),
    "cs3darknet_s": Network(CspNet, _cs3("s")),
    "cs3darknet_m": Network(CspNet, _cs3("m")),
    "cs3darknet_l": Network(CspNet, _cs3("l")),
    "cs3darknet_x": Network(CspNet, _cs3("x")),
    "cs3darknet_focus_s": Network(CspNet, {**_cs3("s"), "stem": Stem((32,), size=6)}),
    "cs3darknet_focus_m": Network(CspNet, {**_cs3("m"), "stem": Stem((48,), size=6)}),
    "cs3darknet_focus_l": Network(CspNet, {**_cs3("l"), "stem": Stem((64,), size=6)}),
    "cs3darknet_focus_x": Network(CspNet, {**_cs3("x"), "stem": Stem((80,), size=6)}),
    "cs3sedarknet_l": Network(CspNet, _cs3("l", partial(DarkBlock, ratio=1.0, squeeze=0.25))),
    "cs3sedarknet_x": Network(CspNet, _cs3("x", partial(DarkBlock, ratio=1.0, squeeze=1 / 16))),
    "cs3sedarknet_xdw": Network(CspNet, _DEPTHWISE),
    "cs3edgenet_x": Network(CspNet, _cs3("x", _EDGE)),
    "cs3se_edgenet_x": Network(CspNet, _cs3("x", partial(_EDGE, squeeze=0.25))),
}
# fmt: on
