"""StarNet: networks whose only nonlinearity is a product of two projections, one of them clipped.

Ma et al. 2024, "Rewrite the Stars" (arXiv:2403.19967), as timm.models.starnet defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    ConvNormAct,
    classify,
    drop_path,
    drop_path_rates,
    relu6,
    run,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "StarBlock", "StarNet"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)
_layer = partial(
    ConvNormAct, norm=_norm, act=None, use_bias=True, kernel_init=_init, bias_init=uniform_bias
)


class StarBlock(nn.Module):
    """`x + depthwise(g(relu6(f1(d)) * f2(d)))`, `d` a depthwise 7x7 layer; f1, f2 expand, g projects."""

    expansion: int
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, layer = x.shape[-1], partial(_layer, dtype=self.dtype)
        inner = self.expansion * width
        y = layer(width, 7, groups=width, name="dwconv")(x, train=train)
        first = layer(inner, 1, norm=None, name="f1")(y, train=train)
        second = layer(inner, 1, norm=None, name="f2")(y, train=train)
        y = layer(width, 1, name="g")(relu6(first) * second, train=train)
        y = layer(width, 7, groups=width, norm=None, name="dwconv2")(y, train=train)
        return x + drop_path(y, self.drop_path_rate, train=train)


class StarNet(nn.Module):
    """A strided stem of 32 channels, four strided stages of `StarBlock`, pooling, a linear layer.

    Stage widths are 1, 2, 4, 8 times `width`. `drop_path_rate` grows linearly from 0 at the first
    block to itself at the last.
    """

    width: int
    depths: tuple[int, ...]
    expansion: int = 4
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        layer = partial(_layer, dtype=self.dtype)
        x = relu6(layer(32, 3, 2, name="stem.0")(images, train=train))
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            x = layer(self.width * 2**stage, 3, 2, name=f"stages.{stage}.0")(x, train=train)
            for index in range(depth):
                block = StarBlock(
                    self.expansion,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.{index + 1}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = _norm(dtype=self.dtype, name="norm")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "starnet_s1": Network(StarNet, {"width": 24, "depths": (2, 2, 8, 3), "expansion": 4}),
    "starnet_s2": Network(StarNet, {"width": 32, "depths": (1, 2, 6, 2), "expansion": 4}),
    "starnet_s3": Network(StarNet, {"width": 32, "depths": (2, 2, 8, 4), "expansion": 4}),
    "starnet_s4": Network(StarNet, {"width": 32, "depths": (3, 3, 12, 5), "expansion": 4}),
    "starnet_s050": Network(StarNet, {"width": 16, "depths": (1, 1, 3, 1), "expansion": 3}),
    "starnet_s100": Network(StarNet, {"width": 20, "depths": (1, 2, 4, 1), "expansion": 4}),
    "starnet_s150": Network(StarNet, {"width": 24, "depths": (1, 2, 4, 2), "expansion": 3}),
}
