"""FasterNet: 3x3 convolutions of a quarter of the channels, between 1x1 convolutions of all.

Chen et al. 2023 (arXiv:2303.03667), as timm.models.fasternet defines it.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, drop_path, drop_path_rates, gelu, relu, run
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "FasterBlock", "FasterNet"]

# The reference truncates at an absolute 2, a hundred deviations away: not at all.
_init = nn.initializers.normal(0.02)
_conv = partial(Conv, use_bias=False, kernel_init=_init)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class FasterBlock(nn.Module):
    """A 3x3 convolution of the first quarter of the channels, a 1x1 expansion to twice, a 1x1."""

    act: Activation = relu
    drop_path_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to the same shape."""
        width, conv = x.shape[-1], partial(_conv, dtype=self.dtype)
        part, rest = x[..., : width // 4], x[..., width // 4 :]
        part = conv(width // 4, (3, 3), padding=1, name="spatial_mixing.partial_conv3")(part)
        y = jnp.concatenate([part, rest.astype(part.dtype)], axis=-1)
        y = conv(2 * width, (1, 1), name="mlp.0")(y)
        y = self.act(_norm(dtype=self.dtype, name="mlp.1")(y, train=train))
        y = conv(width, (1, 1), name="mlp.3")(y)
        return x + drop_path(y, self.drop_path_rate, train=train)


class FasterNet(nn.Module):
    """A 4x4 stem of stride 4, four stages with a 2x2 downsampling between, pooling, 1x1 layers.

    Stage widths are 1, 2, 4, 8 times `width`. `drop_path_rate` grows linearly from 0 at the first
    block to itself at the last.
    """

    width: int
    depths: tuple[int, ...]
    act: Activation = relu
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
        check_images(self, images, smallest=32)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        x = conv(self.width, (4, 4), 4, padding=0, name="patch_embed.proj")(images)
        x = norm(name="patch_embed.norm")(x, train=train)
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                merge = f"stages.{stage}.downsample"
                x = conv(2 * x.shape[-1], (2, 2), 2, padding=0, name=f"{merge}.reduction")(x)
                x = norm(name=f"{merge}.norm")(x, train=train)
            for index in range(depth):
                block = FasterBlock(
                    act=self.act,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.blocks.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = ops.global_avg_pool(x)[:, None, None, :]
        x = self.act(conv(1280, (1, 1), name="conv_head")(x))[:, 0, 0, :]
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "fasternet_t0": Network(FasterNet, {"width": 40, "depths": (1, 2, 8, 2), "drop_path_rate": 0.0, "act": gelu}),
    "fasternet_t1": Network(FasterNet, {"width": 64, "depths": (1, 2, 8, 2), "drop_path_rate": 0.02, "act": gelu}),
    "fasternet_t2": Network(FasterNet, {"width": 96, "depths": (1, 2, 8, 2), "drop_path_rate": 0.05, "act": relu}),
    "fasternet_s": Network(FasterNet, {"width": 128, "depths": (1, 2, 13, 2), "drop_path_rate": 0.1, "act": relu}),
    "fasternet_m": Network(FasterNet, {"width": 144, "depths": (3, 4, 18, 3), "drop_path_rate": 0.2, "act": relu}),
    "fasternet_l": Network(FasterNet, {"width": 192, "depths": (3, 4, 18, 3), "drop_path_rate": 0.3, "act": relu}),
}
# fmt: on
