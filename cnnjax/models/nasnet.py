"""NASNet-A: two cells found by a search over small graphs, repeated.

Zoph et al. 2018 (arXiv:1707.07012), as timm.models.nasnet defines it. The layers and the cell are
PNASNet's as well. Padding is TensorFlow's.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, relu, run, uniform, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "Cell", "NASNet", "maximum", "pointwise", "same"]

_conv = partial(Conv, use_bias=False, padding="SAME", kernel_init=uniform)
norm = partial(BatchNorm, momentum=0.9, epsilon=1e-3)

Operation = Callable[..., Array]
# What a sum adds: two operations, each with the number of its input.
Row = tuple[tuple[Operation, int], tuple[Operation, int]]

# The numbers of a cell's two inputs and of its five sums.
LEFT, RIGHT, *SUM = range(7)


def pointwise(
    x: Array, width: int, strides: int = 1, *, dtype: DType, name: str, train: bool
) -> Array:
    """ReLU, a 1x1 convolution, norm: `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
    x = _conv(width, (1, 1), strides, dtype=dtype, name=f"{name}.conv")(relu(x))
    return norm(dtype=dtype, name=f"{name}.bn")(x, train=train)


def _separable(
    size: int, x: Array, width: int, strides: int, *, dtype: DType, name: str, train: bool
) -> Array:
    """ReLU, a depthwise and a 1x1 convolution, norm, twice; the first one strides."""
    for index in (1, 2):
        at, channels = f"{name}.separable_{index}", x.shape[-1]
        x = _conv(
            channels,
            (size, size),
            strides if index == 1 else 1,
            feature_group_count=channels,
            dtype=dtype,
            name=f"{at}.depthwise_conv2d",
        )(relu(x))
        x = _conv(width, (1, 1), dtype=dtype, name=f"{at}.pointwise_conv2d")(x)
        x = norm(dtype=dtype, name=f"{name}.bn_sep_{index}")(x, train=train)
    return x


def maximum(x: Array, width: int, strides: int, *, dtype: DType, name: str, train: bool) -> Array:
    """The largest of 3x3, and a 1x1 layer where that has not `width` channels."""
    x = ops.max_pool(x, 3, strides=strides, padding="SAME")
    if x.shape[-1] == width:
        return x
    x = _conv(width, (1, 1), dtype=dtype, name=f"{name}.conv")(x)
    return norm(dtype=dtype, name=f"{name}.bn")(x, train=train)


def _mean(x: Array, width: int, strides: int, **_: object) -> Array:
    """The mean of 3x3. In the reference the zeros that pad a strided one count."""
    return ops.avg_pool(x, 3, strides=strides, padding="SAME", count_include_pad=strides > 1)


def same(x: Array, width: int, strides: int, *, dtype: DType, name: str, train: bool) -> Array:
    """The input itself, through a 1x1 layer where it strides."""
    if strides == 1:
        return x
    return pointwise(x, width, strides, dtype=dtype, name=name, train=train)


separable3, separable5, separable7 = (partial(_separable, size) for size in (3, 5, 7))


def _halve(x: Array, width: int, *, dtype: DType, name: str, train: bool) -> Array:
    """ReLU, every second pixel, and those one further down and right, half of `width` each."""
    x = relu(x)
    shifted = jnp.pad(x[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
    halves = [
        _conv(width // 2, (1, 1), dtype=dtype, name=f"{name}path_{index}.conv")(y[:, ::2, ::2])
        for index, y in enumerate((x, shifted), start=1)
    ]
    x = jnp.concatenate(halves, axis=-1)
    return norm(dtype=dtype, name=f"{name}final_path_bn")(x, train=train)


class Cell(nn.Module):
    """Sums of two operations each, on the two inputs or on earlier sums, some concatenated.

    `rows` are the sums, `joined` the numbers of what is concatenated. Operations on an input have
    the cell's `strides`, those on a sum none. The right input is `x`, the left one the output of
    the cell before, `previous`, both brought to `width` by 1x1 layers; without `previous` the left
    one is `x` as it is. `halve`: `previous` has twice the size of `x`; the names of the layers that
    halve it begin with `prefix`.
    """

    rows: tuple[Row, ...]
    joined: tuple[int, ...]
    width: int
    strides: int = 1
    halve: bool = False
    prefix: str = ""
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, previous: Array | None = None, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width * len(joined)]`."""
        layer = partial(pointwise, dtype=self.dtype, train=train)
        if previous is None:
            left = x
        elif self.halve:
            left = _halve(previous, self.width, dtype=self.dtype, name=self.prefix, train=train)
        else:
            left = layer(previous, self.width, name="conv_prev_1x1")
        values = [left, layer(x, self.width, name="conv_1x1")]
        for index, row in enumerate(self.rows):
            first, second = (
                operation(
                    values[source],
                    self.width,
                    self.strides if source in (LEFT, RIGHT) else 1,
                    dtype=self.dtype,
                    name=f"comb_iter_{index}_{side}",
                    train=train,
                )
                for side, (operation, source) in zip(("left", "right"), row, strict=True)
            )
            values.append(first + second)
        return jnp.concatenate([values[number] for number in self.joined], axis=-1)


_NORMAL: tuple[tuple[Row, ...], tuple[int, ...]] = (
    (
        ((separable5, RIGHT), (separable3, LEFT)),
        ((separable5, LEFT), (separable3, LEFT)),
        ((_mean, RIGHT), (same, LEFT)),
        ((_mean, LEFT), (_mean, LEFT)),
        ((separable3, RIGHT), (same, RIGHT)),
    ),
    (LEFT, *SUM),
)
_REDUCTION: tuple[tuple[Row, ...], tuple[int, ...]] = (
    (
        ((separable5, RIGHT), (separable7, LEFT)),
        ((maximum, RIGHT), (separable7, LEFT)),
        ((_mean, RIGHT), (separable5, LEFT)),
        ((same, SUM[1]), (_mean, SUM[0])),
        ((separable3, SUM[0]), (maximum, RIGHT)),
    ),
    tuple(SUM[1:]),
)


class NASNet(nn.Module):
    """A strided 3x3 layer, two strided cells, stages of cells with a strided one between; linear.

    `width` is that of the first stage's sums, which doubles from stage to stage; `depths` counts
    the cells that do not stride.
    """

    width: int = 168
    depths: tuple[int, ...] = (6, 6, 6)
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
        normal = partial(Cell, *_NORMAL, dtype=self.dtype)
        reduction = partial(Cell, *_REDUCTION, strides=2, dtype=self.dtype)
        previous = _conv(
            self.stem_width, (3, 3), 2, padding="VALID", dtype=self.dtype, name="conv0.conv"
        )(images)
        previous = norm(dtype=self.dtype, name="conv0.bn")(previous, train=train)
        stages = {"stem": previous}
        x = reduction(self.width // 4, name="cell_stem_0")(previous, train=train)
        stages["stage1"] = x
        stem = reduction(self.width // 2, halve=True, name="cell_stem_1")
        previous, x = x, stem(x, previous, train=train)
        at = 0
        for stage, depth in enumerate(self.depths):
            width = self.width * 2**stage
            if stage > 0:
                # The next cell sees the same cell before as this one does.
                block = reduction(width, name=f"reduction_cell_{stage - 1}")
                x = run(block, x, previous, train=train, remat=self.remat)
            for index in range(depth):
                block = normal(width, halve=index == 0, name=f"cell_{at}")
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
    "nasnetalarge": Network(NASNet),
}
