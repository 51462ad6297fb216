"""Normalizer-free residual networks: NF-ResNet and NFNet.

Brock et al. 2021 (arXiv:2101.08692 and arXiv:2102.06171), as timm.models.nfnet defines them:
kernels are standardised and scaled, the residual branch divides by the deviation that its input is
expected to have. "dm" are DeepMind's own networks; the others pad symmetrically, have no gain after
the branch and scale kernels by what those scale activations by.
"""

from collections.abc import Callable
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

__all__ = ["NETWORKS", "NormFreeBlock", "NormFreeNet", "ScaledConv"]

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


class NormFreeBlock(nn.Module):
    """An activation before each of 1x1, 3x3 (strided, grouped), maybe 3x3, and 1x1 convolutions.

    `x' = shortcut + alpha * f(beta * act(x))` with `alpha` 0.2. `conv` and `attention` are as in
    `NormFreeNet`, whose `skip_gain`, `extra` and `group_size` these are too. The attention comes
    last, or before the last convolution with `early`.
    """

    features: int
    inner: int
    conv: Callable[..., nn.Module]
    act: Activation
    beta: float = 1.0
    strides: int = 1
    group_size: int | None = None
    extra: bool = False
    attention: Callable[..., nn.Module] | None = None
    early: bool = False
    skip_gain: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        act, inner, strides = self.act, self.inner, self.strides
        conv = partial(self.conv, dtype=self.dtype)
        groups = inner // self.group_size if self.group_size else 1
        y = act(x) * self.beta
        shortcut = x
        if x.shape[-1] != self.features or strides > 1:
            shortcut = averaged(y, strides)
            shortcut = conv(self.features, 1, name="downsample.conv")(shortcut)
        y = conv(inner, 1, name="conv1")(y)
        y = conv(inner, 3, strides, groups=groups, name="conv2")(act(y))
        if self.extra:
            y = conv(inner, 3, groups=groups, name="conv2b")(act(y))
        if self.attention is not None and self.early:
            y = 2 * self.attention(dtype=self.dtype, name="attn")(y, train=train)
        # Without the gain after it, the branch starts at zero through this one.
        gain_init = 1.0 if self.skip_gain else 0.0
        y = conv(self.features, 1, gain_init=gain_init, name="conv3")(act(y))
        if self.attention is not None and not self.early:
            # Twice, since a gate of about one half halves the deviation.
            y = 2 * self.attention(dtype=self.dtype, name="attn_last")(y, train=train)
        y = drop_path(y, self.drop_path_rate, train=train)
        if self.skip_gain:
            gain = self.param("skipinit_gain", nn.initializers.zeros_init(), (), jnp.float32)
            y = y * gain.astype(y.dtype)
        return 0.2 * y + shortcut


class NormFreeNet(nn.Module):
    """A stem, four stages of `NormFreeBlock`, maybe a 1x1 layer, pooling and a linear layer.

    `quad` is a stem of four 3x3 convolutions, strides 2, 1, 1, 2; without it a 7x7 and max pooling.
    A block's inner width is its width times `bottleneck`, in groups of `group_size` channels.
    `extra` adds a 3x3 convolution to a block; `attention` is one of `cnnjax.nn.attention`. `regnet`: the stem is one 3x3 of the first width, every stage is strided, a block's
    inner width follows from its input's, and attention precedes its last convolution. `last_width`
    is that of the 1x1 layer. `deepmind` scales activations instead of kernels, pads as TensorFlow
    does and multiplies each branch by a gain that starts at zero. `drop_path_rate` grows linearly
    from 0 at the first block to itself at the last.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (256, 512, 1536, 1536)
    quad: bool = True
    regnet: bool = False
    bottleneck: float = 0.5
    group_size: int | None = 128
    extra: bool = True
    attention: Callable[..., nn.Module] | None = None
    last_width: int | None = 3072
    act: Activation = gelu
    deepmind: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        gamma = _GAMMA[self.act]
        kind = partial(ScaledConv, same=True) if self.deepmind else partial(ScaledConv, gamma=gamma)
        conv = partial(kind, dtype=self.dtype)

        def act(x: Array) -> Array:
            return self.act(x) * gamma if self.deepmind else self.act(x)

        if self.quad:
            x = act(conv(16, 3, 2, name="stem.conv1")(images))
            x = act(conv(32, 3, name="stem.conv2")(x))
            x = conv(64, 3, name="stem.conv3")(x)
            stages = {"stem": x}
            x = conv(128, 3, 2, name="stem.conv4")(act(x))
        elif self.regnet:
            x = conv(self.widths[0], 3, 2, name="stem.conv")(images)
            stages = {"stem": x}
        else:
            x = conv(64, 7, 2, name="stem.conv")(images)
            stages = {"stem": x}
            x = ops.max_pool(x, 3, strides=2, padding=1)
        variance, rates = 1.0, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                inner = int(width * self.bottleneck)
                if self.regnet:
                    # The first block of all is as wide inside as outside.
                    ratio = self.bottleneck if stage + index > 0 else 1.0
                    inner = round_width(x.shape[-1] * ratio)
                block = NormFreeBlock(
                    width,
                    inner,
                    kind,
                    act,
                    beta=variance**-0.5,
                    strides=2 if index == 0 and (stage > 0 or self.regnet) else 1,
                    group_size=self.group_size,
                    extra=self.extra,
                    attention=self.attention,
                    early=self.regnet,
                    skip_gain=self.deepmind,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                # A projected shortcut starts again from variance 1; each branch adds alpha^2.
                variance = (1.0 if index == 0 else variance) + 0.2**2
            stages[f"stage{stage + 1}"] = x
        if self.last_width:
            x = conv(self.last_width, 1, name="final_conv")(x)
        x = act(x)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, stages) if features else logits


def _share(channels: int, *, ratio: float) -> int:
    return round_width(channels * ratio)


def _squeeze_excite(ratio: float) -> Callable[..., nn.Module]:
    return partial(SqueezeExcite, partial(_share, ratio=ratio), kernel_init=_init)


_SE = _squeeze_excite(1 / 2)


_RES: dict[str, Any] = {
    "widths": (256, 512, 1024, 2048),
    "quad": False,
    "bottleneck": 0.25,
    "group_size": None,
    "extra": False,
    "last_width": None,
    "act": relu,
}
_F: dict[str, Any] = {"attention": _SE}
_DM: dict[str, Any] = {"attention": _SE, "deepmind": True}
_ECA: dict[str, Any] = {
    "bottleneck": 0.25,
    "group_size": 64,
    "act": silu,
    "attention": EfficientChannelAttention,
}
_L0: dict[str, Any] = {
    **_ECA,
    "attention": _squeeze_excite(1 / 4),
    "last_width": 2304,
}
_SE_RES: dict[str, Any] = {**_RES, "attention": _squeeze_excite(1 / 16)}
_ECA_RES: dict[str, Any] = {**_RES, "attention": EfficientChannelAttention}


def _reg(widths: tuple[int, ...], last_width: int) -> dict[str, Any]:
    return {
        "widths": widths,
        "quad": False,
        "regnet": True,
        "bottleneck": 2.25,
        "group_size": 8,
        "extra": False,
        "attention": _SE,
        "last_width": last_width,
        "act": silu,
    }


# fmt: off
NETWORKS = {
    "nf_resnet26": Network(NormFreeNet, {**_RES, "depths": (2, 2, 2, 2)}),
    "nf_resnet50": Network(NormFreeNet, {**_RES, "depths": (3, 4, 6, 3)}),
    "nf_resnet101": Network(NormFreeNet, {**_RES, "depths": (3, 4, 23, 3)}),
    "nf_seresnet26": Network(NormFreeNet, {**_SE_RES, "depths": (2, 2, 2, 2)}),
    "nf_seresnet50": Network(NormFreeNet, {**_SE_RES, "depths": (3, 4, 6, 3)}),
    "nf_seresnet101": Network(NormFreeNet, {**_SE_RES, "depths": (3, 4, 23, 3)}),
    "nf_ecaresnet26": Network(NormFreeNet, {**_ECA_RES, "depths": (2, 2, 2, 2)}),
    "nf_ecaresnet50": Network(NormFreeNet, {**_ECA_RES, "depths": (3, 4, 6, 3)}),
    "nf_ecaresnet101": Network(NormFreeNet, {**_ECA_RES, "depths": (3, 4, 23, 3)}),
    "nf_regnet_b0": Network(NormFreeNet, {**_reg((40, 80, 160, 328), 960), "depths": (1, 3, 6, 6)}),
    "nf_regnet_b1": Network(NormFreeNet, {**_reg((40, 80, 160, 328), 960), "depths": (2, 4, 7, 7)}),
    "nf_regnet_b2": Network(NormFreeNet, {**_reg((40, 88, 176, 368), 1064), "depths": (2, 4, 8, 8)}),
    "nf_regnet_b3": Network(NormFreeNet, {**_reg((40, 96, 184, 400), 1152), "depths": (2, 5, 9, 9)}),
    "nf_regnet_b4": Network(NormFreeNet, {**_reg((48, 112, 216, 464), 1344), "depths": (2, 6, 11, 11)}),
    "nf_regnet_b5": Network(NormFreeNet, {**_reg((64, 128, 256, 528), 1536), "depths": (3, 7, 14, 14)}),
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
