"""RepVGG: three parallel branches in training, one 3x3 convolution when deployed.

Ding et al. 2021 (arXiv:2101.03697), as timm.models.byobnet defines it.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    SqueezeExcite,
    classify,
    drop_path,
    drop_path_rates,
    grouped,
    join_branches,
    kaiming_normal,
    relu,
    run,
)
from cnnjax.typing import Array, DType, Images, Variables

__all__ = ["NETWORKS", "RepVGG", "RepVGGBlock"]


def _scale_init(key: Array, shape: tuple[int, ...], dtype: DType = jnp.float32) -> Array:
    return 0.1 + 0.1 * jax.random.normal(key, shape, dtype)


_norm = partial(
    BatchNorm,
    momentum=0.9,
    epsilon=1e-5,
    scale_init=_scale_init,
    bias_init=nn.initializers.normal(0.1),
)


class RepVGGBlock(nn.Module):
    """`relu(bn(conv3x3(x)) + bn(conv1x1(x)) + bn(x))`, the last where the shape stays.

    With `attention` a squeeze-excite comes before the ReLU. With `deployed`, one 3x3 convolution
    with a bias.
    """

    width: int
    strides: int = 1
    groups: int = 1
    attention: bool = False
    deployed: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        init = grouped(self.groups)
        if self.deployed:
            y = Conv(
                self.width,
                (3, 3),
                self.strides,
                padding=1,
                feature_group_count=self.groups,
                kernel_init=init,
                dtype=self.dtype,
                name="reparam_conv",
            )(x)
        else:
            layer = partial(
                ConvNormAct,
                self.width,
                strides=self.strides,
                groups=self.groups,
                norm=_norm,
                act=None,
                kernel_init=init,
                dtype=self.dtype,
            )
            y = layer(kernel_size=1, name="conv_1x1")(x, train=train)
            y = y + layer(kernel_size=3, name="conv_kxk")(x, train=train)
            if x.shape == y.shape:
                y = drop_path(y, self.drop_path_rate, train=train)
                y = y + _norm(dtype=self.dtype, name="identity")(x, train=train)
        if self.attention:
            y = SqueezeExcite(
                self.width // 16, kernel_init=kaiming_normal, dtype=self.dtype, name="attn"
            )(y, train=train)
        return relu(y)


class RepVGG(nn.Module):
    """A strided block, four strided stages of `RepVGGBlock`, pooling and a linear layer.

    Every second block of a stage has `groups` groups. With `attention` every block, the first one
    too, has squeeze-excite. `deployed` is the fused form, which `cnnjax.fuse` makes.
    `drop_path_rate` grows linearly from 0 at the first block to itself at the
    last.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem_width: int = 64
    groups: int = 1
    attention: bool = False
    deployed: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.nowrap
    def fused(self, variables: Variables) -> Variables:
        """Return the variables of the deployed form: what `cnnjax.fuse` takes."""
        return join_branches(variables, _place)

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        layer = partial(
            RepVGGBlock, attention=self.attention, deployed=self.deployed, dtype=self.dtype
        )
        x = layer(self.stem_width, 2, name="stem")(images, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                block = layer(
                    width,
                    strides=2 if index == 0 else 1,
                    groups=self.groups if index % 2 else 1,
                    drop_path_rate=rates[stage][index],
                    name=f"stages.{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
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


def _place(part: str) -> str | None:
    """Return the convolution that a part of a `RepVGGBlock` becomes a part of."""
    return "reparam_conv" if part == "identity" or part.startswith("conv_") else None


def _row(fields: dict[str, Any], *row: Any, input_size: int = 224) -> Network:
    parameters, statistics, gmacs, accuracy = row
    return Network(
        RepVGG,
        fields,
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights="rvgg_in1k",
    )


def _a(widths: tuple[int, ...], stem_width: int = 64) -> dict[str, Any]:
    return {"depths": (2, 4, 14, 1), "widths": widths, "stem_width": stem_width}


def _b(widths: tuple[int, ...], groups: int = 1) -> dict[str, Any]:
    return {"depths": (4, 6, 16, 1), "widths": widths, "groups": groups}


_D2SE: dict[str, Any] = {
    "depths": (8, 14, 24, 1),
    "widths": (160, 320, 640, 2560),
    "attention": True,
}

# fmt: off
NETWORKS = {
    # fields, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1
    "repvgg_a0": _row(_a((48, 96, 192, 1280), 48), 9_108_968, 23_648, 1.513, 72.426),
    "repvgg_a1": _row(_a((64, 128, 256, 1280)), 14_092_264, 29_824, 2.626, 74.474),
    "repvgg_a2": _row(_a((96, 192, 384, 1408)), 28_210_600, 42_560, 5.685, 76.488),
    "repvgg_b0": _row(_b((64, 128, 256, 1280)), 15_817_960, 35_200, 3.397, 75.158),
    "repvgg_b1": _row(_b((128, 256, 512, 2048)), 57_415_016, 68_096, 13.128, 78.37),
    "repvgg_b1g4": _row(_b((128, 256, 512, 2048), 4), 39_966_056, 68_096, 8.119, 77.608),
    "repvgg_b2": _row(_b((160, 320, 640, 2560)), 89_022_376, 85_056, 20.418, 78.788),
    "repvgg_b2g4": _row(_b((160, 320, 640, 2560), 4), 61_758_376, 85_056, 12.591, 79.396),
    "repvgg_b3": _row(_b((192, 384, 768, 2560)), 123_085_288, 99_968, 29.121, 80.528),
    "repvgg_b3g4": _row(_b((192, 384, 768, 2560), 4), 83_825_128, 99_968, 17.849, 80.224),
    "repvgg_d2se": _row(_D2SE, 133_334_836, 134_976, 74.437, 83.55, input_size=320),
}
# fmt: on
