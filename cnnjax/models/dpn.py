"""DPN: dual path networks, whose blocks add to some channels and append others.

Chen et al. 2017 (arXiv:1707.01629), as timm.models.dpn defines it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, ConvNormAct, classify, relu, run, silu, uniform, uniform_bias
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["DPN", "NETWORKS", "DualPathBlock"]

_conv = partial(Conv, kernel_size=(1, 1), use_bias=False, kernel_init=uniform)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-3)


class _NormActConv(nn.Module):
    """Normalization, ReLU, convolution."""

    features: int
    kernel_size: int = 1
    strides: int = 1
    groups: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, features]`."""
        x = relu(_norm(dtype=self.dtype, name="bn")(x, train=train))
        return _conv(
            self.features,
            kernel_size=(self.kernel_size, self.kernel_size),
            strides=self.strides,
            padding=self.kernel_size // 2,
            feature_group_count=self.groups,
            dtype=self.dtype,
            name="conv",
        )(x)


class DualPathBlock(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 layers: `width` channels to add and `growth` to append.

    `scale` multiplies `width`, and `group_width`, the channels of each of `groups`: "40x4d" in the
    paper is 40 groups of 4. The first block of a stage projects its input to
    `scale * width + 2 * growth` channels (`project`). In the "b" networks (`apart`) two
    convolutions give the two kinds of channels.
    """

    growth: int
    scale: int = 1
    width: int = 256
    groups: int = 32
    group_width: int = 3
    strides: int = 1
    project: bool = False
    apart: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C + growth]`.

        With `project`, to `[B, H / strides, W / strides, scale * width + 3 * growth]`.
        """
        layer = partial(_NormActConv, dtype=self.dtype)
        width, inner = self.scale * self.width, self.scale * self.groups * self.group_width
        shortcut = x
        if self.project:
            features, name = width + 2 * self.growth, f"c1x1_w_s{self.strides}"
            shortcut = layer(features, strides=self.strides, name=name)(x, train=train)
        y = layer(inner, name="c1x1_a")(x, train=train)
        y = layer(inner, 3, self.strides, self.groups, name="c3x3_b")(y, train=train)
        if self.apart:
            y = relu(_norm(dtype=self.dtype, name="c1x1_c.bn")(y, train=train))
            added = _conv(width, dtype=self.dtype, name="c1x1_c1")(y)
            appended = _conv(self.growth, dtype=self.dtype, name="c1x1_c2")(y)
        else:
            y = layer(width + self.growth, name="c1x1_c")(y, train=train)
            added, appended = jnp.split(y, [width], axis=-1)
        kept, dense = jnp.split(shortcut, [width], axis=-1)
        return jnp.concatenate([kept + added, dense, appended], axis=-1)


class DPN(nn.Module):
    """A stem, four stages of dual path blocks, global average pooling and a linear layer.

    `stem` has its channels and its kernel's side. A block of stage i is called with `growths[i]`,
    2**i for its `scale`, `strides`, `project`, `dtype` and `name`. `act` is the activation of the
    stem and after the last block; those of the blocks are ReLUs.
    """

    depths: tuple[int, ...]
    growths: tuple[int, ...]
    stem: tuple[int, int] = (64, 7)
    block: Callable[..., nn.Module] = DualPathBlock
    act: Activation = relu
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = ConvNormAct(
            *self.stem,
            2,
            norm=_norm,
            act=self.act,
            kernel_init=uniform,
            dtype=self.dtype,
            name="features.conv1_1",
        )(images, train=train)
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, padding=1)
        for stage, (depth, growth) in enumerate(zip(self.depths, self.growths, strict=True)):
            for index in range(depth):
                block = self.block(
                    growth,
                    2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    project=index == 0,
                    dtype=self.dtype,
                    name=f"features.conv{stage + 2}_{index + 1}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = self.act(_norm(dtype=self.dtype, name="features.conv5_bn_ac.bn")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
            pointwise=True,
        )
        return (logits, stages) if features else logits


_SMALL: dict[str, Any] = {"growths": (16, 32, 32, 64), "stem": (10, 3)}
_NARROW = partial(DualPathBlock, width=64, group_width=4)
_APART = partial(_NARROW, apart=True)
_40 = partial(DualPathBlock, groups=40, group_width=4)
_50 = partial(DualPathBlock, groups=50, group_width=4)

# fmt: off
NETWORKS = {
    "dpn48b": Network(DPN, {"depths": (3, 4, 6, 3), **_SMALL, "block": _APART, "act": silu}),
    "dpn68": Network(DPN, {"depths": (3, 4, 12, 3), **_SMALL, "block": _NARROW}),
    "dpn68b": Network(DPN, {"depths": (3, 4, 12, 3), **_SMALL, "block": _APART}),
    "dpn92": Network(DPN, {"depths": (3, 4, 20, 3), "growths": (16, 32, 24, 128)}),
    "dpn98": Network(DPN, {"depths": (3, 6, 20, 3), "growths": (16, 32, 32, 128), "stem": (96, 7), "block": _40}),
    "dpn131": Network(DPN, {"depths": (4, 8, 28, 3), "growths": (16, 32, 32, 128), "stem": (128, 7), "block": _40}),
    "dpn107": Network(DPN, {"depths": (4, 8, 20, 3), "growths": (20, 64, 64, 128), "stem": (128, 7), "block": _50}),
}
# fmt: on
