"""The network that a table of inverted residual blocks describes, and what tables are made with."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.inverted_residual import Row, Squeeze, Stages, convolve, layer
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import classify, hard_sigmoid, relu, run, uniform_fan_out
from cnnjax.typing import Activation, Array, DType, Images

__all__ = [
    "TENSORFLOW",
    "V3_HEAD",
    "V3_SQUEEZE",
    "InvertedResidualNet",
    "networks",
    "scaled",
    "single",
]


class InvertedResidualNet(nn.Module):
    """A strided stem, stages of blocks, a 1x1 layer, pooling and a linear layer.

    `stages` are rows of blocks, `stem_size` and `stem_width` the kernel size and width of the
    stem. `head_width` is that of the last 1x1 layer, which `pool_first` puts behind the pooling,
    where it has a bias (if `head_bias`) instead of a norm (Howard et al. 2019, arXiv:1905.02244).
    `padding` is "SAME" for weights born in TensorFlow, whose `epsilon` is 1e-3; None pads
    symmetrically. `blocks` cuts stages to their first so many. `drop_path_rate` grows linearly
    from 0 at the first block.
    """

    stages: Stages
    num_classes: int = 1000
    stem_width: int = 32
    stem_size: int = 3
    head_width: int = 1280
    pool_first: bool = False
    head_bias: bool = False
    act: Activation = relu
    squeeze: Squeeze = Squeeze()
    padding: Literal["SAME"] | None = None
    epsilon: float = 1e-5
    blocks: int | None = None
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
        conv = partial(
            layer,
            act=self.act,
            padding=self.padding,
            epsilon=self.epsilon,
            train=train,
            dtype=self.dtype,
        )
        x = conv(images, self.stem_width, ("conv_stem", "bn1"), self.stem_size, 2)
        rows = [
            [replace(r, strides=1 if i else r.strides) for r in stage for i in range(r.repeats)]
            for stage in self.stages
        ]
        rows = [stage[: self.blocks] for stage in rows]
        total, block_index = sum(map(len, rows)), 0
        stages, stage = {"stem": x}, 0
        for group, described in enumerate(rows):
            for index, row in enumerate(described):
                block = row.kind(
                    row,
                    act=row.act or self.act,
                    squeeze=self.squeeze,
                    padding=self.padding,
                    epsilon=self.epsilon,
                    drop_path_rate=self.drop_path_rate * block_index / total,
                    dtype=self.dtype,
                    name=f"blocks.{group}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
                stage += row.strides - 1
                block_index += 1
            stages[f"stage{stage}" if stage else "stem"] = x
        if self.pool_first:
            x = ops.global_avg_pool(x)[:, None, None, :]
            x = convolve(
                x,
                self.head_width,
                "conv_head",
                use_bias=self.head_bias,
                padding=self.padding,
                dtype=self.dtype,
            )
            x = self.act(x)[:, 0, 0, :]
        else:
            x = conv(x, self.head_width, ("conv_head", "bn2"))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform_fan_out,
        )
        return (logits, stages) if features else logits


TENSORFLOW: dict[str, Any] = {"padding": "SAME", "epsilon": 1e-3}
"""Fields of networks whose weights were trained in TensorFlow."""

V3_SQUEEZE = Squeeze(round_width, relu, hard_sigmoid)
"""MobileNetV3's squeeze-excite."""

V3_HEAD: dict[str, Any] = {"pool_first": True, "head_bias": True}
"""MobileNetV3's end."""


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


def networks(table: dict[str, tuple[Any, ...]]) -> dict[str, Network]:
    """Return the rows of a table of networks.

    A row is fields, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, published
    top-1 and the name of the weights.
    """
    return {
        name: Network(
            InvertedResidualNet,
            fields,
            parameters=parameters,
            batch_statistics=statistics,
            multiply_adds=gmacs,
            input_size=input_size,
            reference="timm",
            accuracy=accuracy,
            weights=weights,
        )
        for name, (
            fields,
            input_size,
            parameters,
            statistics,
            gmacs,
            accuracy,
            weights,
        ) in table.items()
    }
