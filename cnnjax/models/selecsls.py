"""SelecSLS: blocks that join the outputs of three 3x3 layers, and of the stage's first block.

Mehta et al. 2020, "XNect" (arXiv:1907.00837), as timm.models.selecsls defines them.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, ConvNormAct, classify, relu, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "SelecSLS", "SelecSLSBlock"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, norm=_norm, act=relu, names=("0", "1"))


class SelecSLSBlock(nn.Module):
    """Layers 3x3, 1x1, 3x3, 1x1, 3x3 in a row; a 1x1 joins the outputs of the 3x3 ones and `skip`.

    The first 3x3 and the 1x1 layers have `inner` channels, the other 3x3 ones half as many.
    """

    width: int
    inner: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, skip: Array | None, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`; `skip` has that size."""
        layer, half = partial(_layer, dtype=self.dtype), self.inner // 2
        first = layer(self.inner, 3, self.strides, name="conv1")(x, train=train)
        y = layer(self.inner, 1, name="conv2")(first, train=train)
        second = layer(half, 3, name="conv3")(y, train=train)
        y = layer(self.inner, 1, name="conv4")(second, train=train)
        third = layer(half, 3, name="conv5")(y, train=train)
        joined = [first, second, third, *([] if skip is None else [skip])]
        return layer(self.width, 1, name="conv6")(jnp.concatenate(joined, -1), train=train)


class SelecSLS(nn.Module):
    """A strided stem of width 32, three stages of `SelecSLSBlock`, four layers, a linear layer.

    A stage has `depths` blocks of the width `inner`, inside and outside; its last puts out
    `widths` channels. The first block is strided, and its output goes to all others of its stage.
    `head` has (width, kernel size, strides) of the layers before the pooling.
    """

    depths: tuple[int, ...]
    inner: tuple[int, ...]
    widths: tuple[int, ...]
    head: tuple[tuple[int, int, int], ...]
    num_classes: int = 1000
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stage4" and "stage5" are the outputs of the second and the last layer of the head.
        """
        check_images(self, images)
        x = _layer(32, 3, 2, dtype=self.dtype, name="stem")(images, train=train)
        stages, block = {"stem": x}, 0
        for stage, (depth, inner, width) in enumerate(
            zip(self.depths, self.inner, self.widths, strict=True), start=1
        ):
            skip = None
            for index in range(depth):
                x = SelecSLSBlock(
                    width if index == depth - 1 else inner,
                    inner,
                    strides=2 if index == 0 else 1,
                    dtype=self.dtype,
                    name=f"features.{block}",
                )(x, skip, train=train)
                skip = x if skip is None else skip
                block += 1
            stages[f"stage{stage}"] = x
        for index, (width, size, strides) in enumerate(self.head):
            name = f"head.{index}"
            x = _layer(width, size, strides, dtype=self.dtype, name=name)(x, train=train)
            if index % 2:
                stages[f"stage{4 + index // 2}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


_42 = {"depths": (2, 2, 2), "inner": (64, 144, 304), "widths": (128, 288, 480)}
_60 = {"depths": (2, 3, 4), "inner": (64, 128, 288), "widths": (128, 288, 416)}
_84 = {"depths": (2, 5, 6), "inner": (64, 144, 304), "widths": (144, 304, 512)}
_A, _B = ((1024, 3, 2), (1280, 1, 1)), ((1280, 3, 2), (1024, 1, 1))
_3X3 = ((1024, 3, 2), (1280, 3, 1))

NETWORKS = {
    "selecsls42": Network(SelecSLS, {**_42, "head": ((960, 3, 2), (1024, 3, 1), *_A)}),
    "selecsls42b": Network(SelecSLS, {**_42, "head": ((960, 3, 2), (1024, 3, 1), *_B)}),
    "selecsls60": Network(SelecSLS, {**_60, "head": ((756, 3, 2), (1024, 3, 1), *_A)}),
    "selecsls60b": Network(SelecSLS, {**_60, "head": ((756, 3, 2), (1024, 3, 1), *_B)}),
    "selecsls84": Network(SelecSLS, {**_84, "head": ((960, 3, 2), (1024, 3, 1), *_3X3)}),
}
