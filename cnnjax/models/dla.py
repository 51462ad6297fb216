"""DLA: residual blocks whose outputs are aggregated by trees, across blocks and across stages.

Yu et al. 2018 (arXiv:1707.06484), as timm.models.dla defines it; with the blocks of Res2Net, Gao et
al. 2019 (arXiv:1904.01169).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

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


def _row(
    block: Callable[..., nn.Module], depths: tuple[int, ...], widths: tuple[int, ...], *row: Any
) -> Network:
    parameters, statistics, gmacs, accuracy, *shortcut = row
    return Network(
        DLA,
        {"block": block, "depths": depths, "widths": widths, "root_shortcut": bool(shortcut)},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        reference="timm",
        accuracy=accuracy,
        weights="in1k",
    )


_COMPACT, _WIDE = (16, 32, 64, 64, 128, 256), (16, 32, 128, 256, 512, 1024)
_X = partial(DlaBottleneck, groups=32, base_width=4)
_X2 = partial(DlaBottleneck, groups=64, base_width=4)

# fmt: off
NETWORKS = {
    # block, depths, widths, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, shortcuts in the roots
    "dla34": _row(DlaBasic, (1, 2, 2, 1), (16, 32, 64, 128, 256, 512), 15_742_104, 15_488, 3.06, 74.632),
    "dla46_c": _row(DlaBottleneck, (1, 2, 2, 1), _COMPACT, 1_301_400, 8_064, 0.5743, 64.88),
    "dla46x_c": _row(_X, (1, 2, 2, 1), _COMPACT, 1_068_440, 10_880, 0.5327, 66.008),
    "dla60x_c": _row(_X, (1, 2, 3, 1), _COMPACT, 1_319_832, 14_464, 0.5813, 67.928),
    "dla60": _row(DlaBottleneck, (1, 2, 3, 1), _WIDE, 22_036_632, 41_088, 4.236, 77.036),
    "dla60x": _row(_X, (1, 2, 3, 1), _WIDE, 17_352_344, 55_936, 3.517, 78.234),
    "dla60_res2net": _row(DlaScaleBottleneck, (1, 2, 3, 1), _WIDE, 20_848_072, 48_976, 4.123, 78.48),
    "dla60_res2next": _row(partial(DlaScaleBottleneck, groups=8, base_width=4), (1, 2, 3, 1), _WIDE, 17_032_984, 52_224, 3.459, 78.488),
    "dla102": _row(DlaBottleneck, (1, 3, 4, 1), _WIDE, 33_268_888, 66_688, 7.165, 78.016, True),
    "dla102x": _row(_X, (1, 3, 4, 1), _WIDE, 26_309_272, 91_776, 5.848, 78.516, True),
    "dla102x2": _row(_X2, (1, 3, 4, 1), _WIDE, 41_282_200, 141_952, 9.284, 79.448, True),
    "dla169": _row(DlaBottleneck, (2, 3, 5, 1), _WIDE, 53_389_720, 108_928, 11.558, 78.702, True),
}
# fmt: on
