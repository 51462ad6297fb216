"""PNASNet-5: one cell, found by a search from simple cells to larger ones, with and without stride.

Liu et al. 2018 (arXiv:1712.00559), as timm.models.pnasnet defines it. Padding is TensorFlow's.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.nasnet import (
    LEFT,
    RIGHT,
    SUM,
    Cell,
    Row,
    maximum,
    norm,
    same,
    separable3,
    separable5,
    separable7,
)
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, classify, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "PNASNet"]

_ROWS: tuple[Row, ...] = (
    ((separable5, LEFT), (maximum, LEFT)),
    ((separable7, RIGHT), (maximum, RIGHT)),
    ((separable5, RIGHT), (separable3, RIGHT)),
    ((separable3, SUM[2]), (maximum, RIGHT)),
    ((separable3, LEFT), (same, RIGHT)),
)


class PNASNet(nn.Module):
    """A strided 3x3 layer, a strided cell, stages of cells that begin with a strided one; linear.

    `width` is that of the first stage's sums, which doubles from stage to stage; but the strided
    cells before it and at its beginning have a quarter and a half of it. `depths` counts the
    cells that do not stride.
    """

    width: int = 216
    depths: tuple[int, ...] = (4, 3, 3)
    stem_width: int = 96
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stage1" is the first strided cell, the others end before the next cell with a stride.
        """
        check_images(self, images, smallest=3)
        cell = partial(Cell, _ROWS, tuple(SUM), prefix="conv_prev_1x1.", dtype=self.dtype)
        previous = Conv(
            self.stem_width,
            (3, 3),
            2,
            padding="VALID",
            use_bias=False,
            kernel_init=uniform,
            dtype=self.dtype,
            name="conv_0.conv",
        )(images)
        previous = norm(dtype=self.dtype, name="conv_0.bn")(previous, train=train)
        stages = {"stem": previous}
        x = cell(self.width // 4, strides=2, name="cell_stem_0")(previous, train=train)
        stages["stage1"] = x
        at = 0
        for stage, depth in enumerate(self.depths):
            width = self.width * 2**stage
            if stage == 0:
                block = cell(self.width // 2, strides=2, halve=True, name="cell_stem_1")
            else:
                block = cell(width, strides=2, name=f"cell_{at}")
                at += 1
            previous, x = x, run(block, x, previous, train=train, remat=self.remat)
            for index in range(depth):
                block = cell(width, halve=index == 0, name=f"cell_{at}")
                previous, x = x, run(block, x, previous, train=train, remat=self.remat)
                at += 1
            stages[f"stage{stage + 2}"] = x
        x = relu(x)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="last_linear",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "pnasnet5large": Network(PNASNet),
}
