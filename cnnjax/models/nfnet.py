"""Normalizer-free residual networks: NF-ResNet and NFNet.

Brock et al. 2021 (arXiv:2101.08692 and arXiv:2102.06171), as timm.models.nfnet defines them:
kernels are standardised and scaled, the residual branch divides by the deviation that its input is
expected to have. "dm" are DeepMind's own networks; the others pad symmetrically, have no gain after
the branch and scale kernels by what those scale activations by.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    EfficientChannelAttention,
    SqueezeExcite,
    averaged,
    classify,
    drop_path,
    drop_path_rates,
    gelu,
    relu,
    run,
    silu,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "NETWORKS",
    "NormFreeBlock",
    "NormFreeNet",
    "NormFreeRegNet",
    "NormFreeResNet",
    "ScaledConv",
    "Scaling",
]

_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")

# 1 / the deviation of the activation of a standard normal
_GAMMA: dict[Activation, float] = {
    relu: 1.7139588594436646,
    gelu: 1.7015043497085571,
    silu: 1.7881293296813965,
}


class ScaledConv(nn.Module):
    """A convolution whose kernel is standardised over each output's inputs, times a gain.

    `gamma * gain * (kernel - mean) / sqrt((var + epsilon) * fan_in)`; parameters `kernel`
    `[kh, kw, C / groups, features]`, `gain` `[features, 1, 1, 1]` (as the reference's files have
    it), `bias` `[features]`.
    """

    features: int
    kernel_size: int
    strides: int = 1
    groups: int = 1
    same: bool = False
    gamma: float = 1.0
    gain_init: float = 1.0
    epsilon: float = 1e-5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        size, features = self.kernel_size, self.features
        shape = (size, size, x.shape[-1] // self.groups, features)
        kernel = self.param("kernel", _init, shape, jnp.float32)
        gain_init = nn.initializers.constant(self.gain_init)
        gain = self.param("gain", gain_init, (features, 1, 1, 1), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (features,), jnp.float32)
        centered = kernel - kernel.mean((0, 1, 2), keepdims=True)
        var = jnp.square(centered).mean((0, 1, 2), keepdims=True)
        fan_in = shape[0] * shape[1] * shape[2]
        factor = self.gamma * fan_in**-0.5 * gain.reshape(1, 1, 1, features)
        kernel = centered * jax.lax.rsqrt(var + self.epsilon) * factor
        y = ops.conv2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            strides=self.strides,
            padding="SAME" if self.same else size // 2,
            groups=self.groups,
        )
        return y + bias.astype(self.dtype).reshape(1, 1, 1, features)


@dataclasses.dataclass(frozen=True)
class Scaling:
    """What keeps deviations at one without norms: scaled kernels, or scaled activations.

    Attributes:
        act: the activation, one of `relu`, `gelu`, `silu`.
        deepmind: as DeepMind's own networks: activations are scaled instead of kernels, padding is
            TensorFlow's, and each branch is multiplied by a gain that starts at zero.
    """

    act: Activation
    deepmind: bool = False

    def conv(self, *arguments: Any, **settings: Any) -> ScaledConv:
        """Return a convolution; arguments as of `ScaledConv`."""
        kind = {"same": True} if self.deepmind else {"gamma": _GAMMA[self.act]}
        made: Callable[..., ScaledConv] = partial(ScaledConv, **kind)
        return made(*arguments, **settings)

    def activated(self, x: Array) -> Array:
        """Return the activation of an array, in the deviation that the next kernel expects."""
        return self.act(x) * _GAMMA[self.act] if self.deepmind else self.act(x)


class NormFreeBlock(nn.Module):
    """An activation before each of 1x1, 3x3 (strided, grouped), maybe more 3x3, and 1x1 layers.

    `x' = shortcut + alpha * f(beta * act(x))` with `alpha` 0.2. `inner` are the channels of the
    `middle` 3x3 layers. Of the two kinds of attention, called with `dtype` and `name`, `early`
    stands before the last layer and `attention` after it.
    """

    # Eleven fields: a block's sizes, its scale, and what differs between three families.
    features: int
    inner: int
    scaling: Scaling
    beta: float = 1.0
    strides: int = 1
    groups: int = 1
    middle: int = 1
    attention: Callable[..., nn.Module] | None = None
    early: Callable[..., nn.Module] | None = None
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        act, strides = self.scaling.activated, self.strides
        conv = partial(self.scaling.conv, dtype=self.dtype)
        y = act(x) * self.beta
        shortcut = x
        if x.shape[-1] != self.features or strides > 1:
            shortcut = averaged(y, strides)
            shortcut = conv(self.features, 1, name="downsample.conv")(shortcut)
        y = conv(self.inner, 1, name="conv1")(y)
        for index in range(self.middle):
            strided, name = (1, "conv2b") if index else (strides, "conv2")
            y = conv(self.inner, 3, strided, groups=self.groups, name=name)(act(y))
        # Twice, since a gate of about one half halves the deviation.
        if self.early is not None:
            y = 2 * self.early(dtype=self.dtype, name="attn")(y, train=train)
        # Without the gain after it, the branch starts at zero through this one.
        gain_init = 1.0 if self.scaling.deepmind else 0.0
        y = conv(self.features, 1, gain_init=gain_init, name="conv3")(act(y))
        if self.attention is not None:
            y = 2 * self.attention(dtype=self.dtype, name="attn_last")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.scaling.deepmind:
            gain = self.param("skipinit_gain", nn.initializers.zeros_init(), (), jnp.float32)
            y = y * gain.astype(y.dtype)
        return 0.2 * y + shortcut


class _NormFree(nn.Module):
    """What the three families share: stages of blocks, maybe a 1x1 layer, and the head."""

    depths: tuple[int, ...]
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    def _rest(
        self,
        stages: dict[str, Array],
        x: Array,
        scaling: Scaling,
        widths: Sequence[int],
        block: Callable[[int, int, int], nn.Module],
        last_width: int | None,
        *,
        train: bool,
    ) -> tuple[Array, dict[str, Array]]:
        """Return logits and stages of what the stem gives.

        `block` makes one of its stage, its place in it and the channels that it is given.
        """
        variance, rates = 1.0, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, widths, strict=True)):
            for index in range(depth):
                made = block(stage, index, x.shape[-1])(
                    width,
                    scaling=scaling,
                    beta=variance**-0.5,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.{index}",
                )
                x = run(made, x, train=train, remat=self.remat)
                # A projected shortcut starts again from variance 1; each branch adds alpha^2.
                variance = (1.0 if index == 0 else variance) + 0.2**2
            stages[f"stage{stage + 1}"] = x
        if last_width is not None:
            x = scaling.conv(last_width, 1, dtype=self.dtype, name="final_conv")(x)
        logits, stages["pre_logits"] = classify(
            scaling.activated(x),
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return logits, stages


class NormFreeResNet(_NormFree):
    """NF-ResNet: a 7x7 layer and max pooling, then bottlenecks a quarter as wide inside.

    `attention` is one of `cnnjax.nn.attention`, of every block.
    """

    attention: Callable[..., nn.Module] | None = None

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        scaling = Scaling(relu)
        x = stem = scaling.conv(64, 7, 2, dtype=self.dtype, name="stem.conv")(images)
        x = ops.max_pool(x, 3, strides=2, padding=1)
        widths = (256, 512, 1024, 2048)

        def block(stage: int, index: int, channels: int) -> Any:
            return partial(
                NormFreeBlock,
                inner=widths[stage] // 4,
                strides=2 if index == 0 and stage > 0 else 1,
                attention=self.attention,
            )

        logits, stages = self._rest({"stem": stem}, x, scaling, widths, block, None, train=train)
        return (logits, stages) if features else logits


class NormFreeNet(_NormFree):
    """NFNet: four 3x3 layers, blocks of two grouped 3x3 layers, a 1x1 layer of `last_width`.

    A block's inner width is its width times `bottleneck`; the 256 channels of the first stage are
    one group inside. `attention` is one of `cnnjax.nn.attention`, of every block.
    """

    bottleneck: float = 0.5
    attention: Callable[..., nn.Module] | None = None
    last_width: int = 3072
    scaling: Scaling = Scaling(gelu)

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        conv, act = partial(self.scaling.conv, dtype=self.dtype), self.scaling.activated
        x = act(conv(16, 3, 2, name="stem.conv1")(images))
        x = act(conv(32, 3, name="stem.conv2")(x))
        stem = conv(64, 3, name="stem.conv3")(x)
        x = conv(128, 3, 2, name="stem.conv4")(act(stem))
        widths = (256, 512, 1536, 1536)

        def block(stage: int, index: int, channels: int) -> Any:
            return partial(
                NormFreeBlock,
                inner=int(widths[stage] * self.bottleneck),
                strides=2 if index == 0 and stage > 0 else 1,
                groups=widths[stage] // widths[0],
                middle=2,
                attention=self.attention,
            )

        logits, stages = self._rest(
            {"stem": stem}, x, self.scaling, widths, block, self.last_width, train=train
        )
        return (logits, stages) if features else logits


class NormFreeRegNet(_NormFree):
    """NF-RegNet: one 3x3 layer of the first width, four strided stages, a 1x1 layer.

    A block is 2.25 times as wide inside as its input, in groups of 8 channels; squeeze-excite
    precedes its last layer.
    """

    widths: tuple[int, ...] = (40, 80, 160, 328)
    last_width: int = 960

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        scaling = Scaling(silu)
        x = scaling.conv(self.widths[0], 3, 2, dtype=self.dtype, name="stem.conv")(images)

        def block(stage: int, index: int, channels: int) -> Any:
            # The first block of all is as wide inside as outside.
            inner = round_width(channels * (2.25 if stage + index > 0 else 1.0))
            return partial(
                NormFreeBlock,
                inner=inner,
                strides=2 if index == 0 else 1,
                groups=inner // 8,
                early=_SE,
            )

        logits, stages = self._rest(
            {"stem": x}, x, scaling, self.widths, block, self.last_width, train=train
        )
        return (logits, stages) if features else logits


def _share(channels: int, *, ratio: float) -> int:
    return round_width(channels * ratio)


def _squeeze_excite(ratio: float) -> Callable[..., nn.Module]:
    return partial(SqueezeExcite, partial(_share, ratio=ratio), kernel_init=_init)


_SE = _squeeze_excite(1 / 2)

_SE_RES: dict[str, Any] = {"attention": _squeeze_excite(1 / 16)}
_ECA_RES: dict[str, Any] = {"attention": EfficientChannelAttention}
_F: dict[str, Any] = {"attention": _SE}
_DM: dict[str, Any] = {"attention": _SE, "scaling": Scaling(gelu, deepmind=True)}
_ECA: dict[str, Any] = {
    "bottleneck": 0.25,
    "scaling": Scaling(silu),
    "attention": EfficientChannelAttention,
}
_L0: dict[str, Any] = {**_ECA, "attention": _squeeze_excite(1 / 4), "last_width": 2304}


def _reg(widths: tuple[int, ...], last_width: int) -> dict[str, Any]:
    return {"widths": widths, "last_width": last_width}


# fmt: off
NETWORKS = {
    "nf_resnet26": Network(NormFreeResNet, {"depths": (2, 2, 2, 2)}),
    "nf_resnet50": Network(NormFreeResNet, {"depths": (3, 4, 6, 3)}),
    "nf_resnet101": Network(NormFreeResNet, {"depths": (3, 4, 23, 3)}),
    "nf_seresnet26": Network(NormFreeResNet, {**_SE_RES, "depths": (2, 2, 2, 2)}),
    "nf_seresnet50": Network(NormFreeResNet, {**_SE_RES, "depths": (3, 4, 6, 3)}),
    "nf_seresnet101": Network(NormFreeResNet, {**_SE_RES, "depths": (3, 4, 23, 3)}),
    "nf_ecaresnet26": Network(NormFreeResNet, {**_ECA_RES, "depths": (2, 2, 2, 2)}),
    "nf_ecaresnet50": Network(NormFreeResNet, {**_ECA_RES, "depths": (3, 4, 6, 3)}),
    "nf_ecaresnet101": Network(NormFreeResNet, {**_ECA_RES, "depths": (3, 4, 23, 3)}),
    "nf_regnet_b0": Network(NormFreeRegNet, {**_reg((40, 80, 160, 328), 960), "depths": (1, 3, 6, 6)}),
    "nf_regnet_b1": Network(NormFreeRegNet, {**_reg((40, 80, 160, 328), 960), "depths": (2, 4, 7, 7)}),
    "nf_regnet_b2": Network(NormFreeRegNet, {**_reg((40, 88, 176, 368), 1064), "depths": (2, 4, 8, 8)}),
    "nf_regnet_b3": Network(NormFreeRegNet, {**_reg((40, 96, 184, 400), 1152), "depths": (2, 5, 9, 9)}),
    "nf_regnet_b4": Network(NormFreeRegNet, {**_reg((48, 112, 216, 464), 1344), "depths": (2, 6, 11, 11)}),
    "nf_regnet_b5": Network(NormFreeRegNet, {**_reg((64, 128, 256, 528), 1536), "depths": (3, 7, 14, 14)}),
    "nfnet_f0": Network(NormFreeNet, {**_F, "depths": (1, 2, 6, 3)}),
    "nfnet_f1": Network(NormFreeNet, {**_F, "depths": (2, 4, 12, 6)}),
    "nfnet_f2": Network(NormFreeNet, {**_F, "depths": (3, 6, 18, 9)}),
    "nfnet_f3": Network(NormFreeNet, {**_F, "depths": (4, 8, 24, 12)}),
    "nfnet_f4": Network(NormFreeNet, {**_F, "depths": (5, 10, 30, 15)}),
    "nfnet_f5": Network(NormFreeNet, {**_F, "depths": (6, 12, 36, 18)}),
    "nfnet_f6": Network(NormFreeNet, {**_F, "depths": (7, 14, 42, 21)}),
    "nfnet_f7": Network(NormFreeNet, {**_F, "depths": (8, 16, 48, 24)}),
    "dm_nfnet_f0": Network(NormFreeNet, {**_DM, "depths": (1, 2, 6, 3)}),
    "dm_nfnet_f1": Network(NormFreeNet, {**_DM, "depths": (2, 4, 12, 6)}),
    "dm_nfnet_f2": Network(NormFreeNet, {**_DM, "depths": (3, 6, 18, 9)}),
    "dm_nfnet_f3": Network(NormFreeNet, {**_DM, "depths": (4, 8, 24, 12)}),
    "dm_nfnet_f4": Network(NormFreeNet, {**_DM, "depths": (5, 10, 30, 15)}),
    "dm_nfnet_f5": Network(NormFreeNet, {**_DM, "depths": (6, 12, 36, 18)}),
    "dm_nfnet_f6": Network(NormFreeNet, {**_DM, "depths": (7, 14, 42, 21)}),
    "nfnet_l0": Network(NormFreeNet, {**_L0, "depths": (1, 2, 6, 3)}),
    "eca_nfnet_l0": Network(NormFreeNet, {**_ECA, "last_width": 2304, "depths": (1, 2, 6, 3)}),
    "eca_nfnet_l1": Network(NormFreeNet, {**_ECA, "depths": (2, 4, 12, 6)}),
    "eca_nfnet_l2": Network(NormFreeNet, {**_ECA, "depths": (3, 6, 18, 9)}),
    "eca_nfnet_l3": Network(NormFreeNet, {**_ECA, "depths": (4, 8, 24, 12)}),
}
# fmt: on
