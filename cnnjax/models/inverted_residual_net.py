"""The network that a table of inverted residual blocks describes, and what tables are made with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.inverted_residual import Row, Squeeze, Stages, Style, convolve, layer
from cnnjax.models.network import check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import classify, hard_sigmoid, relu, run, uniform_fan_out
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "TENSORFLOW",
    "V3_SQUEEZE",
    "End",
    "InvertedResidualNet",
    "LinearEnd",
    "PooledEnd",
    "Stem",
    "described",
    "scaled",
    "single",
]


_normal = nn.initializers.normal(0.01)
_SQUEEZE = Squeeze()


@dataclass(frozen=True)
class Stem:
    """The first convolution; `strides` are its own and that of the first stage with one.

    (1, 1) suits images of 32 pixels.
    """

    width: int = 32
    size: int = 3
    strides: tuple[int, int] = (2, 2)


@dataclass(frozen=True)
class End:
    """A 1x1 layer of `width`, its norm and activation, before the pooling."""

    width: int = 1280
    linear_init: nn.initializers.Initializer = uniform_fan_out

    def __call__(self, x: Array, layer: partial[Array], act: Activation) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, width]`, in a network's `__call__`."""
        return layer(x, self.width, ("conv_head", "bn2"), act=act)


@dataclass(frozen=True)
class PooledEnd:
    """Pooling, a 1x1 convolution of `width` and an activation: Howard et al. 2019.

    (arXiv:1905.02244.) It is cheap there, and without a norm.
    """

    width: int = 1280
    use_bias: bool = True
    linear_init: nn.initializers.Initializer = uniform_fan_out

    def __call__(self, x: Array, layer: partial[Array], act: Activation) -> Array:
        """Map `[B, H, W, C]` to `[B, width]`, in a network's `__call__`."""
        settings = layer.keywords
        x = convolve(
            ops.global_avg_pool(x)[:, None, None, :],
            self.width,
            "conv_head",
            use_bias=self.use_bias,
            padding=settings["padding"],
            kernel_init=settings["kernel_init"],
            dtype=settings["dtype"],
        )
        return act(x)[:, 0, 0, :]


@dataclass(frozen=True)
class LinearEnd:
    """Pooling, a linear layer of `width` and an activation: `PooledEnd` as torchvision has it."""

    width: int = 1280
    linear_init: nn.initializers.Initializer = _normal

    def __call__(self, x: Array, layer: partial[Array], act: Activation) -> Array:
        """Map `[B, H, W, C]` to `[B, width]`, in a network's `__call__`."""
        dtype = layer.keywords["dtype"]
        linear = nn.Dense(self.width, kernel_init=self.linear_init, dtype=dtype, name="conv_head")
        return act(linear(ops.global_avg_pool(x)))


class InvertedResidualNet(nn.Module):
    """A strided stem, stages of blocks, a 1x1 layer, pooling and a linear layer.

    `stages` are rows of blocks, `end` what stands between them and the last layer. `padding` is
    "SAME" for weights born in TensorFlow, whose `epsilon` is 1e-3; None pads symmetrically.
    `drop_path_rate` grows linearly from 0 at the first block.
    """

    # Twelve fields: half of them, from `num_classes` on and `momentum`, most networks have; padding
    # and epsilon are what one file of weights wants otherwise than another.
    stages: Stages
    stem: Stem = Stem()
    end: End | PooledEnd | LinearEnd = End()
    style: Style = Style()
    padding: Literal["SAME"] | None = None
    epsilon: float = 1e-5
    momentum: float = 0.9
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

        A stage ends before the next stride; "stem" is all before the first.
        """
        check_images(self, images)
        style, stem = self.style, self.stem
        conv = partial(
            layer,
            padding=self.padding,
            epsilon=self.epsilon,
            momentum=self.momentum,
            kernel_init=style.kernel_init,
            dtype=self.dtype,
            train=train,
        )
        first = stem.size, stem.strides[0]
        x = conv(images, stem.width, ("conv_stem", "bn1"), *first, act=style.act)
        rows = [
            [replace(r, strides=1 if i else r.strides) for r in stage for i in range(r.repeats)]
            for stage in self.stages
        ]
        total, block_index = sum(map(len, rows)), 0
        stages, stage = {"stem": x}, 0
        for group, described in enumerate(rows):
            for index, row in enumerate(described):
                stage += row.strides - 1
                if stage == 1 and row.strides == 2:
                    row = replace(row, strides=stem.strides[1])
                block = row.kind(
                    row,
                    style=style,
                    padding=self.padding,
                    epsilon=self.epsilon,
                    momentum=self.momentum,
                    drop_path_rate=self.drop_path_rate * block_index / total,
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                block_index += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        logits, stages["pre_logits"] = classify(
            self.end(x, conv, style.act),
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=self.end.linear_init,
        )
        return (logits, stages) if features else logits


TENSORFLOW: dict[str, Any] = {"padding": "SAME", "epsilon": 1e-3}
"""Fields of networks whose weights were trained in TensorFlow."""

V3_SQUEEZE = Squeeze(round_width, relu, hard_sigmoid)
"""MobileNetV3's squeeze-excite."""


def described(
    stages: Stages,
    *,
    stem: int = 32,
    head: int = 1280,
    act: Activation = relu,
    squeeze: Squeeze = _SQUEEZE,
    **fields: Any,
) -> dict[str, Any]:
    """Return fields for `stages`, a stem of `stem` channels and an end of `head`."""
    style = Style(act, squeeze)
    return {"stages": stages, "stem": Stem(stem), "end": End(head), "style": style, **fields}


def single(*rows: Row) -> Stages:
    """Return stages of one row each."""
    return tuple((row,) for row in rows)


def scaled(
    stages: Stages,
    width: float = 1.0,
    depth: float = 1.0,
    *,
    whole: Callable[[float], int] = ceil,
    ends: bool = True,
    limit: float = 0.9,
) -> Stages:
    """Return the stages with `width` times the channels and `depth` times the blocks.

    `whole` makes a number of blocks of a product; without `ends` the first and the last stage keep
    theirs. `limit` is that of `round_width`.
    """

    def widened(row: Row, repeats: int) -> Row:
        base = round_width(row.base * width, limit=limit) if row.base else 0
        return replace(
            row, width=round_width(row.width * width, limit=limit), repeats=repeats, base=base
        )

    found = []
    for index, rows in enumerate(stages):
        fixed = not ends and index in (0, len(stages) - 1)
        left = sum(row.repeats for row in rows)
        wanted = max(1, whole(left * (1.0 if fixed else depth)))
        stage: list[Row] = []
        # The blocks of a stage are shared out from its end: its first ones are repeated least.
        for row in reversed(rows):
            repeats = max(1, round(row.repeats / left * wanted))
            stage.insert(0, widened(row, repeats))
            left, wanted = left - row.repeats, wanted - repeats
        found.append(tuple(stage))
    return tuple(found)
