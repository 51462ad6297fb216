"""DLA: residual blocks whose outputs are aggregated by trees, across blocks and across stages.

Yu et al. 2018 (arXiv:1707.06484), as timm.models.dla defines it; with the blocks of Res2Net, Gao et
al. 2019 (arXiv:1904.01169).
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.res2net import hierarchy
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    classify,
    kaiming_normal,
    relu,
    run,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["DLA", "NETWORKS", "DlaBasic", "DlaBottleneck", "DlaScaleBottleneck", "DlaTree"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, names=("0", "1"))


class DlaBasic(nn.Module):
    """Two 3x3 convolutions, added to a shortcut that the tree gives."""

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, shortcut: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`, the shortcut's shape."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = conv(self.width, (3, 3), self.strides, padding=1, name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = conv(self.width, (3, 3), padding=1, name="conv2")(y)
        return relu(norm(name="bn2")(y, train=train) + shortcut)


class DlaBottleneck(nn.Module):
    """1x1, 3x3 (strided, grouped) and 1x1 convolutions, added to a shortcut that the tree gives.

    The 3x3 has `base_width / 128` of the width in each of its groups.
    """

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 64
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, shortcut: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`, the shortcut's shape."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner = self.width * self.base_width // 64 * self.groups // 2
        y = relu(norm(name="bn1")(conv(inner, (1, 1), name="conv1")(x), train=train))
        y = conv(
            inner, (3, 3), self.strides, padding=1, feature_group_count=self.groups, name="conv2"
        )(y)
        y = relu(norm(name="bn2")(y, train=train))
        y = conv(self.width, (1, 1), name="conv3")(y)
        return relu(norm(name="bn3")(y, train=train) + shortcut)


class DlaScaleBottleneck(nn.Module):
    """1x1 and 1x1 layers with Res2Net's `hierarchy` between, its slices apart where it strides.

    `groups` and `base_width` are as in `DlaBottleneck`, of a slice.
    """

    width: int
    strides: int = 1
    groups: int = 1
    base_width: int = 28
    scale: int = 4
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, shortcut: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`, the shortcut's shape."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        inner = self.width * self.base_width // 64 * self.groups // 2
        y = conv(inner * self.scale, (1, 1), name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = hierarchy(
            y,
            self.scale,
            self.strides,
            groups=self.groups,
            apart=self.strides > 1,
            dtype=self.dtype,
            train=train,
        )
        y = conv(self.width, (1, 1), name="conv3")(y)
        return relu(norm(name="bn3")(y, train=train) + shortcut)


class DlaTree(nn.Module):
    """`2**levels` blocks; a 1x1 layer joins every two with all that earlier subtrees handed on.

    `keep_input` hands on the downsampled input as well; `root_shortcut` adds the second block's
    output to the joint. `block` is called with `width`, `strides`, `dtype` and `name`.
    """

    levels: int
    block: Callable[..., nn.Module]
    width: int
    strides: int = 1
    keep_input: bool = False
    root_shortcut: bool = False
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, earlier: tuple[Array, ...] = (), *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`.

        `earlier` are outputs of the same height and width.
        """
        bottom = x
        if self.strides > 1:
            # A last window of one pixel, as the strided convolutions beside have.
            bottom = ops.max_pool(x, self.strides, strides=self.strides, ceil_mode=True)
        if self.keep_input:
            earlier = (*earlier, bottom)
        if self.levels > 1:
            tree = partial(
                DlaTree,
                self.levels - 1,
                self.block,
                self.width,
                root_shortcut=self.root_shortcut,
                remat=self.remat,
                dtype=self.dtype,
            )
            x = tree(strides=self.strides, name="tree1")(x, train=train)
            return tree(name="tree2")(x, (*earlier, x), train=train)
        shortcut = bottom
        if x.shape[-1] != self.width:
            project = _layer(self.width, 1, act=None, dtype=self.dtype, name="project")
            shortcut = project(bottom, train=train)
        block = partial(self.block, width=self.width, dtype=self.dtype)
        one, two = block(strides=self.strides, name="tree1"), block(name="tree2")
        first = run(one, x, shortcut, train=train, remat=self.remat)
        second = run(two, first, first, train=train, remat=self.remat)
        y = jnp.concatenate([second, first, *earlier], axis=-1)
        y = ConvNormAct(self.width, 1, act=None, dtype=self.dtype, name="root")(y, train=train)
        return relu(y + second if self.root_shortcut else y)


class DLA(nn.Module):
    """Three plain layers, four trees, global average pooling and a linear layer.

    `widths` has those of the six levels; `depths` the levels of each tree. `block` is called with
    `width`, `strides`, `dtype` and `name`.
    """

    block: Callable[..., nn.Module]
    depths: tuple[int, int, int, int]
    widths: tuple[int, ...]
    root_shortcut: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        The stem keeps the size of the images; stage i has stride `2**i`.
        """
        check_images(self, images)
        layer = partial(_layer, dtype=self.dtype)
        x = layer(self.widths[0], 7, name="base_layer")(images, train=train)
        x = layer(self.widths[0], name="level0")(x, train=train)
        stages = {"stem": x}
        x = layer(self.widths[1], strides=2, name="level1")(x, train=train)
        stages["stage1"] = x
        for level, (depth, width) in enumerate(zip(self.depths, self.widths[2:], strict=True), 2):
            x = DlaTree(
                depth,
                self.block,
                width,
                strides=2,
                keep_input=level > 2,
                root_shortcut=self.root_shortcut,
                remat=self.remat,
                dtype=self.dtype,
                name=f"level{level}",
            )(x, train=train)
            stages[f"stage{level}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=kaiming_normal,
            bias_init=uniform_bias,
            pointwise=True,
        )
        return (logits, stages) if features else logits


_COMPACT, _WIDE = (16, 32, 64, 64, 128, 256), (16, 32, 128, 256, 512, 1024)
_X = partial(DlaBottleneck, groups=32, base_width=4)
_X2 = partial(DlaBottleneck, groups=64, base_width=4)

# fmt: off
NETWORKS = {
    "dla34": Network(DLA, {"block": DlaBasic, "depths": (1, 2, 2, 1), "widths": (16, 32, 64, 128, 256, 512), "root_shortcut": False}),
    "dla46_c": Network(DLA, {"block": DlaBottleneck, "depths": (1, 2, 2, 1), "widths": _COMPACT, "root_shortcut": False}),
    "dla46x_c": Network(DLA, {"block": _X, "depths": (1, 2, 2, 1), "widths": _COMPACT, "root_shortcut": False}),
    "dla60x_c": Network(DLA, {"block": _X, "depths": (1, 2, 3, 1), "widths": _COMPACT, "root_shortcut": False}),
    "dla60": Network(DLA, {"block": DlaBottleneck, "depths": (1, 2, 3, 1), "widths": _WIDE, "root_shortcut": False}),
    "dla60x": Network(DLA, {"block": _X, "depths": (1, 2, 3, 1), "widths": _WIDE, "root_shortcut": False}),
    "dla60_res2net": Network(DLA, {"block": DlaScaleBottleneck, "depths": (1, 2, 3, 1), "widths": _WIDE, "root_shortcut": False}),
    "dla60_res2next": Network(DLA, {"block": partial(DlaScaleBottleneck, groups=8, base_width=4), "depths": (1, 2, 3, 1), "widths": _WIDE, "root_shortcut": False}),
    "dla102": Network(DLA, {"block": DlaBottleneck, "depths": (1, 3, 4, 1), "widths": _WIDE, "root_shortcut": True}),
    "dla102x": Network(DLA, {"block": _X, "depths": (1, 3, 4, 1), "widths": _WIDE, "root_shortcut": True}),
    "dla102x2": Network(DLA, {"block": _X2, "depths": (1, 3, 4, 1), "widths": _WIDE, "root_shortcut": True}),
    "dla169": Network(DLA, {"block": DlaBottleneck, "depths": (2, 3, 5, 1), "widths": _WIDE, "root_shortcut": True}),
}
# fmt: on
