"""MambaOut: gated convolutional blocks, those of Mamba without its state space model.

Yu and Wang 2024 (arXiv:2405.07992), as timm.models.mambaout defines it; the "rw" networks are
timm's own.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import Conv, LayerNorm, activation, classify, drop_path, drop_path_rates, gelu, run
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "GatedBlock", "MambaOut"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, kernel_init=_init)
_linear = partial(nn.Dense, kernel_init=_init)
_norm = partial(LayerNorm, epsilon=1e-6)


class GatedBlock(nn.Module):
    """`x + W2 (act(g) * [i, dw7x7(c)])`, where `[g, i, c] = W1 norm(x)`.

    `g` has `expansion` times the channels of `x`, as `i` and `c` have together; `c` has `mixed`
    times. With `scaled` the residual is scaled per channel, by 1e-5 at first.
    """

    expansion: float = 8 / 3
    mixed: float = 1.0
    act: str = "gelu"
    scaled: bool = False
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, linear = x.shape[-1], partial(_linear, dtype=self.dtype)
        hidden, mixed = int(self.expansion * width), int(self.mixed * width)
        y = linear(2 * hidden, name="fc1")(_norm(dtype=self.dtype, name="norm")(x, train=train))
        gate, kept, convolved = jnp.split(y, (hidden, 2 * hidden - mixed), -1)
        convolved = _conv(
            mixed, (7, 7), padding=3, feature_group_count=mixed, dtype=self.dtype, name="conv"
        )(convolved)
        y = activation(self.act)(gate) * jnp.concatenate([kept, convolved], -1)
        y = linear(width, name="fc2")(y)
        if self.scaled:
            gamma = self.param("ls.gamma", nn.initializers.constant(1e-5), (width,), jnp.float32)
            y = y * gamma.reshape(1, 1, 1, width).astype(y.dtype)
        return x + drop_path(y, self.drop_path_rate, train=train)


class MambaOut(nn.Module):
    """Two strided 3x3 layers, four stages of `GatedBlock`, pooling, two linear layers.

    A strided 3x3 layer with LayerNorm precedes every stage but the first. `block` is called with
    `act`, `scaled`, `drop_path_rate`, `dtype` and `name`. `plain` is timm's form:
    no norm within the stem and between the linear layers, norms before the strided layers, scaled
    residuals. The linear layers always have GELU between. `drop_path_rate` grows linearly from 0 at
    the first block to itself at the last.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    block: Callable[..., nn.Module] = partial(GatedBlock, 8 / 3, 1.0)
    act: str = "gelu"
    plain: bool = False
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

        "stem" and "stage1" both have stride 4.
        """
        check_images(self, images)
        norm, linear = partial(_norm, dtype=self.dtype), partial(_linear, dtype=self.dtype)
        strided = partial(_conv, kernel_size=(3, 3), strides=2, padding=1, dtype=self.dtype)
        act = activation(self.act)
        x = strided(self.widths[0] // 2, name="stem.conv1")(images)
        x = act(x if self.plain else norm(name="stem.norm1")(x, train=train))
        x = strided(self.widths[0], name="stem.conv2")(x)
        x = norm(name="stem.norm2")(x, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage > 0:
                conv = strided(width, name=f"stages.{stage}.downsample.conv")
                between = norm(name=f"stages.{stage}.downsample.norm")
                x = between(x, train=train) if self.plain else conv(x)
                x = conv(x) if self.plain else between(x, train=train)
            for index in range(depth):
                block = self.block(
                    act=self.act,
                    scaled=self.plain,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = norm(name="head.norm")(ops.global_avg_pool(x), train=train)
        x = gelu(linear(4 * x.shape[-1], name="head.pre_logits.fc")(x))
        x = x if self.plain else norm(name="head.pre_logits.norm")(x, train=train)
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "mambaout_femto": Network(MambaOut, {"depths": (3, 3, 9, 3), "widths": (48, 96, 192, 288)}),
    "mambaout_kobe": Network(MambaOut, {"depths": (3, 3, 15, 3), "widths": (48, 96, 192, 288)}),
    "mambaout_tiny": Network(MambaOut, {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 576)}),
    "mambaout_small": Network(MambaOut, {"depths": (3, 4, 27, 3), "widths": (96, 192, 384, 576)}),
    "mambaout_base": Network(MambaOut, {"depths": (3, 4, 27, 3), "widths": (128, 256, 512, 768)}),
    "mambaout_small_rw": Network(MambaOut, {"depths": (3, 4, 27, 3), "widths": (96, 192, 384, 576), "plain": True}),
    "mambaout_base_short_rw": Network(MambaOut, {"depths": (3, 3, 25, 3), "widths": (128, 256, 512, 768), "plain": True, "block": partial(GatedBlock, 3.0, 1.25)}),
    "mambaout_base_tall_rw": Network(MambaOut, {"depths": (3, 4, 30, 3), "widths": (128, 256, 512, 768), "plain": True, "block": partial(GatedBlock, 2.5, 1.25)}),
    "mambaout_base_wide_rw": Network(MambaOut, {"depths": (3, 4, 27, 3), "widths": (128, 256, 512, 768), "plain": True, "block": partial(GatedBlock, 3.0, 1.5), "act": "silu"}),
    "mambaout_base_plus_rw": Network(MambaOut, {"depths": (3, 4, 30, 3), "widths": (128, 256, 512, 768), "plain": True, "block": partial(GatedBlock, 3.0, 1.5), "act": "silu"}),
}
# fmt: on
