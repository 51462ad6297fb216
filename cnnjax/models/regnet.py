"""RegNetX and RegNetY: networks whose block widths lie on a quantised line.

Radosavovic et al. 2020 (arXiv:2003.13678), as torchvision.models.regnet defines them; Y is X with
squeeze-excite.
"""

from collections.abc import Callable
from functools import partial
from math import log
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    SqueezeExcite,
    classify,
    kaiming_normal,
    relu,
    run,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "RegNet", "RegNetBlock", "stage_shapes"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(ConvNormAct, norm=_norm, act=relu, names=("0", "1"))


def stage_shapes(
    depth: int,
    w_0: int,
    w_a: float,
    w_m: float,
    group_width: int,
    *,
    rounding: Callable[[float, int], int] = round_width,
) -> list[tuple[int, int, int]]:
    """Return (blocks, width, group width) of each stage: section 3.3 of the paper.

    Block `j` wants the width `u = w_0 + w_a j`. It gets `w_0 w_m^s` with the whole number `s`
    nearest to `log(u / w_0) / log(w_m)`, rounded to a multiple of 8, then by `rounding` to one of
    the group width; blocks of one width are a stage.

    >>> stage_shapes(22, 24, 24.48, 2.54, 16)
    [(1, 32, 16), (2, 64, 16), (7, 160, 16), (12, 400, 16)]
    """
    exponents = (round(log(1 + w_a * block / w_0) / log(w_m)) for block in range(depth))
    widths = [8 * round(w_0 * w_m**exponent / 8) for exponent in exponents]
    return [
        (widths.count(width), rounding(width, min(group_width, width)), min(group_width, width))
        for width in sorted(set(widths))
    ]


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 layers of one width, and a shortcut, projected where it must.

    With `squeeze`, squeeze-excite after the 3x3, through a quarter of the input's channels. Its
    biases begin at zero; the reference leaves them to its framework's uniform draw.
    """

    width: int
    group_width: int
    strides: int = 1
    squeeze: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        layer = partial(_layer, self.width, dtype=self.dtype)
        groups = self.width // self.group_width
        y = layer(1, name="f.a")(x, train=train)
        y = layer(3, self.strides, groups=groups, name="f.b")(y, train=train)
        if self.squeeze:
            y = SqueezeExcite(
                x.shape[-1] // 4,
                kernel_init=kaiming_normal,
                bias_init=uniform_bias,
                dtype=self.dtype,
                name="f.se",
            )(y, train=train)
        y = layer(1, act=None, name="f.c")(y, train=train)
        if self.strides > 1 or x.shape != y.shape:
            x = layer(1, self.strides, act=None, name="proj")(x, train=train)
        return relu(x + y)


class RegNet(nn.Module):
    """A strided stem of width 32, four stages of `RegNetBlock`, pooling and a linear layer.

    `depth`, `w_0`, `w_a`, `w_m` and `group_width` are the parameters of `stage_shapes`.
    """

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    squeeze: bool = False
    num_classes: int = 1000
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = _layer(32, 3, 2, dtype=self.dtype, name="stem")(images, train=train)
        stages = {"stem": x}
        shapes = stage_shapes(self.depth, self.w_0, self.w_a, self.w_m, self.group_width)
        for stage, (depth, width, group_width) in enumerate(shapes, start=1):
            for index in range(depth):
                block = RegNetBlock(
                    width,
                    group_width,
                    strides=2 if index == 0 else 1,
                    squeeze=self.squeeze,
                    dtype=self.dtype,
                    name=f"trunk_output.block{stage}.block{stage}-{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            kernel_init=nn.initializers.normal(0.01),
        )
        return (logits, stages) if features else logits


def _row(
    shape: tuple[int, int, float, float, int], squeeze: bool, *row: Any, input_size: int = 224
) -> Network:
    parameters, statistics, gmacs, accuracy, weights = row
    fields = dict(zip(("depth", "w_0", "w_a", "w_m", "group_width"), shape, strict=True))
    return Network(
        RegNet,
        {**fields, "squeeze": squeeze},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="torchvision",
        accuracy=accuracy,
        weights=weights,
    )


_SWAG = "IMAGENET1K_SWAG_E2E_V1"

# fmt: off
NETWORKS = {
    # (depth, w_0, w_a, w_m, group width), squeeze, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, weights
    "regnet_x_400mf": _row((22, 24, 24.48, 2.54, 16), False, 5_495_976, 37_856, 0.4138, 74.864, "IMAGENET1K_V2"),
    "regnet_x_800mf": _row((16, 56, 35.73, 2.28, 16), False, 7_259_656, 37_312, 0.7997, 77.522, "IMAGENET1K_V2"),
    "regnet_x_1_6gf": _row((18, 80, 34.01, 2.25, 24), False, 9_190_136, 43_504, 1.603, 79.668, "IMAGENET1K_V2"),
    "regnet_x_3_2gf": _row((25, 88, 26.31, 2.25, 48), False, 15_296_552, 62_560, 3.177, 81.196, "IMAGENET1K_V2"),
    "regnet_x_8gf": _row((23, 80, 49.56, 2.88, 120), False, 39_572_648, 90_464, 7.995, 81.682, "IMAGENET1K_V2"),
    "regnet_x_16gf": _row((22, 216, 55.59, 2.1, 128), False, 54_278_536, 111_168, 15.941, 82.716, "IMAGENET1K_V2"),
    "regnet_x_32gf": _row((23, 320, 69.86, 2.0, 168), False, 107_811_560, 162_016, 31.736, 83.014, "IMAGENET1K_V2"),
    "regnet_y_400mf": _row((16, 48, 27.89, 2.09, 8), True, 4_344_144, 27_152, 0.4018, 75.804, "IMAGENET1K_V2"),
    "regnet_y_800mf": _row((14, 56, 38.84, 2.4, 16), True, 6_432_512, 30_432, 0.8339, 78.828, "IMAGENET1K_V2"),
    "regnet_y_1_6gf": _row((27, 48, 20.71, 2.65, 24), True, 11_202_430, 52_672, 1.612, 80.876, "IMAGENET1K_V2"),
    "regnet_y_3_2gf": _row((21, 80, 42.63, 2.66, 24), True, 19_436_338, 66_160, 3.176, 81.982, "IMAGENET1K_V2"),
    "regnet_y_8gf": _row((17, 192, 76.82, 2.19, 56), True, 39_381_472, 86_528, 8.473, 82.828, "IMAGENET1K_V2"),
    "regnet_y_16gf": _row((18, 200, 106.23, 2.48, 112), True, 83_590_140, 122_816, 15.912, 86.012, _SWAG),
    "regnet_y_32gf": _row((20, 232, 115.89, 2.53, 232), True, 145_046_770, 158_288, 32.28, 86.838, _SWAG),
    "regnet_y_128gf": _row((27, 456, 160.83, 2.52, 264), True, 644_812_894, 415_072, 374.57, 88.228, _SWAG, input_size=384),
}
# fmt: on
