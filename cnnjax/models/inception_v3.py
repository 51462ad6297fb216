"""Inception v3: inception modules with factorised convolutions.

Szegedy et al. 2016 (arXiv:1512.00567), as torchvision.models.inception defines it.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, ConvNormAct, classify, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "AuxiliaryHead", "Inception", "InceptionV3"]

# The reference truncates at an absolute 2, twenty deviations away: not at all.
_layer = partial(
    ConvNormAct,
    norm=partial(BatchNorm, momentum=0.9, epsilon=1e-3),
    kernel_init=nn.initializers.normal(0.1),
)

Layer = Callable[..., Array]
"""`layer(x, name, width, kernel_size, strides, padding)`, as `Inception` passes it."""


def _mixed_35(x: Array, layer: Layer, pooled: int) -> list[Array]:
    """Figure 5 of the paper, with a 5x5: the modules at stride 8."""
    y = layer(x, "branch3x3dbl_1", 64)
    y = layer(y, "branch3x3dbl_2", 96, 3)
    return [
        layer(x, "branch1x1", 64),
        layer(layer(x, "branch5x5_1", 48), "branch5x5_2", 64, 5),
        layer(y, "branch3x3dbl_3", 96, 3),
        layer(ops.avg_pool(x, 3, strides=1, padding=1), "branch_pool", pooled),
    ]


def _reduce_35(x: Array, layer: Layer) -> list[Array]:
    """Figure 10: from stride 8 to 16, unpadded."""
    y = layer(layer(x, "branch3x3dbl_1", 64), "branch3x3dbl_2", 96, 3)
    return [
        layer(x, "branch3x3", 384, 3, 2, 0),
        layer(y, "branch3x3dbl_3", 96, 3, 2, 0),
        ops.max_pool(x, 3, strides=2),
    ]


def _mixed_17(x: Array, layer: Layer, inner: int) -> list[Array]:
    """Figure 6, a 7x7 as 1x7 and 7x1: the modules at stride 16."""
    y = layer(layer(x, "branch7x7_1", inner), "branch7x7_2", inner, (1, 7))
    z = layer(layer(x, "branch7x7dbl_1", inner), "branch7x7dbl_2", inner, (7, 1))
    z = layer(layer(z, "branch7x7dbl_3", inner, (1, 7)), "branch7x7dbl_4", inner, (7, 1))
    return [
        layer(x, "branch1x1", 192),
        layer(y, "branch7x7_3", 192, (7, 1)),
        layer(z, "branch7x7dbl_5", 192, (1, 7)),
        layer(ops.avg_pool(x, 3, strides=1, padding=1), "branch_pool", 192),
    ]


def _reduce_17(x: Array, layer: Layer) -> list[Array]:
    """From stride 16 to 32, unpadded."""
    y = layer(layer(x, "branch7x7x3_1", 192), "branch7x7x3_2", 192, (1, 7))
    return [
        layer(layer(x, "branch3x3_1", 192), "branch3x3_2", 320, 3, 2, 0),
        layer(layer(y, "branch7x7x3_3", 192, (7, 1)), "branch7x7x3_4", 192, 3, 2, 0),
        ops.max_pool(x, 3, strides=2),
    ]


def _mixed_8(x: Array, layer: Layer) -> list[Array]:
    """Figure 7, 1x3 and 3x1 side by side: the modules at stride 32."""
    y = layer(x, "branch3x3_1", 384)
    z = layer(layer(x, "branch3x3dbl_1", 448), "branch3x3dbl_2", 384, 3)
    return [
        layer(x, "branch1x1", 320),
        layer(y, "branch3x3_2a", 384, (1, 3)),
        layer(y, "branch3x3_2b", 384, (3, 1)),
        layer(z, "branch3x3dbl_3a", 384, (1, 3)),
        layer(z, "branch3x3dbl_3b", 384, (3, 1)),
        layer(ops.avg_pool(x, 3, strides=1, padding=1), "branch_pool", 192),
    ]


def _modules(depths: tuple[int, int, int]) -> Iterator[tuple[str, Callable[..., list[Array]], int]]:
    """Yield name, branches and stage of the modules: `depths` at strides 8, 16 and 32.

    The letters count the modules of a stride, from the reduction on; at stride 8 there is none.
    """
    at_8, at_16, at_32 = depths
    for index in range(at_8):
        yield f"5{chr(ord('b') + index)}", partial(_mixed_35, pooled=64 if index else 32), 2
    yield "6a", _reduce_35, 3
    for index in range(at_16):
        inner = 128 if index == 0 else 192 if index == at_16 - 1 else 160
        yield f"6{chr(ord('b') + index)}", partial(_mixed_17, inner=inner), 3
    yield "7a", _reduce_17, 4
    for index in range(at_32):
        yield f"7{chr(ord('b') + index)}", _mixed_8, 4


class Inception(nn.Module):
    """The branches that `branches(x, layer)` returns, side by side."""

    branches: Callable[..., list[Array]]
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H', W', sum of the branches]`."""

        def layer(
            x: Array,
            name: str,
            width: int,
            size: int | tuple[int, int] = 1,
            strides: int = 1,
            padding: int | None = None,
        ) -> Array:
            module = _layer(width, size, strides, padding, dtype=self.dtype, name=name)
            return module(x, train=train)

        return jnp.concatenate(self.branches(x, layer), axis=-1)


class AuxiliaryHead(nn.Module):
    """A classifier on the way: averages, 1x1, an unpadded 5x5, pooling and a linear layer."""

    num_classes: int
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, 17, 17, C]` or larger to logits `[B, num_classes]`."""
        x = ops.avg_pool(x, 5, strides=3)
        x = _layer(128, 1, dtype=self.dtype, name="conv0")(x, train=train)
        x = _layer(768, 5, padding=0, dtype=self.dtype, name="conv1")(x, train=train)
        logits, _ = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            kernel_init=nn.initializers.normal(0.001),
            bias_init=uniform_bias,
        )
        return logits


class InceptionV3(nn.Module):
    """An unpadded stem, inception modules and reductions, pooling and a linear layer.

    `depths` counts the modules at strides 8, 16 and 32. `aux_heads` adds the auxiliary head before
    the last reduction. It runs in training only, as in the reference, and needs images of 299x299;
    its logits `[B, num_classes]` are in the features, under "aux1", and `aux_weight` of its loss is
    added, as in PyTorch's tutorial on fine-tuning.
    """

    aux_weight = 0.4  # not a field: what `fit` takes

    num_classes: int = 1000
    depths: tuple[int, int, int] = (3, 4, 2)
    aux_heads: bool = False
    dropout_rate: float = 0.5
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        auxiliary = self.aux_heads and (train or self.is_initializing())
        check_images(self, images, smallest=299 if auxiliary else 75)
        layer = partial(_layer, dtype=self.dtype)
        x = layer(32, 3, 2, 0, name="Conv2d_1a_3x3")(images, train=train)
        x = layer(32, 3, padding=0, name="Conv2d_2a_3x3")(x, train=train)
        x = layer(64, 3, name="Conv2d_2b_3x3")(x, train=train)
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2)
        x = layer(80, 1, name="Conv2d_3b_1x1")(x, train=train)
        x = layer(192, 3, padding=0, name="Conv2d_4a_3x3")(x, train=train)
        stages["stage1"] = x
        x = ops.max_pool(x, 3, strides=2)
        for name, branches, stage in _modules(self.depths):
            if name == "7a" and auxiliary:
                head = AuxiliaryHead(self.num_classes, dtype=self.dtype, name="AuxLogits")
                stages["aux1"] = head(x, train=train)
            module = Inception(branches, dtype=self.dtype, name=f"Mixed_{name}")
            x = stages[f"stage{stage}"] = module(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.1),
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    # With `aux_heads` 27,161,264 parameters and 36,224 statistics.
    "inception_v3": Network(InceptionV3),
}
