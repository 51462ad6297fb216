"""DenseNet: every layer of a block reads the features of all layers before it.

Huang et al. 2017 (arXiv:1608.06993), DenseNet-BC for ImageNet, as torchvision.models.densenet
defines it; with a deep stem, as timm.models.densenet does.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_fan_in, relu, run, uniform
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "DenseLayer", "DenseNet", "Transition"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_fan_in)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


class DenseLayer(nn.Module):
    """A 1x1 convolution to four times `growth`, a 3x3 to `growth`, appended to the input."""

    growth: int
    dropout_rate: float = 0.0
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, C + growth]`."""
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        y = relu(norm(name="norm1")(x, train=train))
        y = conv(4 * self.growth, (1, 1), name="conv1")(y)
        y = relu(norm(name="norm2")(y, train=train))
        y = conv(self.growth, (3, 3), padding=1, name="conv2")(y)
        y = nn.Dropout(self.dropout_rate, deterministic=not train)(y)
        return jnp.concatenate([x, y], axis=-1)


class Transition(nn.Module):
    """A 1x1 convolution to half the channels and a 2x2 average."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / 2, W / 2, C / 2]`."""
        x = relu(_norm(dtype=self.dtype, name="norm")(x, train=train))
        x = _conv(x.shape[-1] // 2, (1, 1), dtype=self.dtype, name="conv")(x)
        return ops.avg_pool(x, 2)


class DenseNet(nn.Module):
    """A 7x7 stem, four dense blocks with transitions between, pooling and a linear layer.

    `deep_stem` has three 3x3 convolutions, two of `growth` channels, in place of the 7x7; `blur`
    subsamples after the stem by a blur (Zhang 2019, arXiv:1904.11486) in place of the max pool's
    stride.

    `dropout_rate` is the dropout of each layer's new features; the reference sets none. `remat`
    computes the layers again backwards: the paper's authors' way (arXiv:1707.06990) around memory
    that grows with the square of the depth.
    """

    depths: tuple[int, ...]
    growth: int = 32
    stem_width: int = 64
    deep_stem: bool = False
    blur: bool = False
    num_classes: int = 1000
    dropout_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        A stage is what its block gives, before the transition.
        """
        check_images(self, images, smallest=29)
        conv, norm = partial(_conv, dtype=self.dtype), partial(_norm, dtype=self.dtype)
        if self.deep_stem:
            x = images
            for index, width in enumerate((self.growth, self.growth, self.stem_width)):
                stride = 2 if index == 0 else 1
                x = conv(width, (3, 3), stride, padding=1, name=f"features.conv{index}")(x)
                x = relu(norm(name=f"features.norm{index}")(x, train=train))
        else:
            x = conv(self.stem_width, (7, 7), 2, padding=3, name="features.conv0")(images)
            x = relu(norm(name="features.norm0")(x, train=train))
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=1 if self.blur else 2, padding=1)
        x = ops.blur_pool(x) if self.blur else x
        for stage, depth in enumerate(self.depths, start=1):
            if stage > 1:
                name = f"features.transition{stage - 1}"
                x = Transition(dtype=self.dtype, name=name)(x, train=train)
            for index in range(1, depth + 1):
                layer = DenseLayer(
                    self.growth,
                    dropout_rate=self.dropout_rate,
                    dtype=self.dtype,
                    name=f"features.denseblock{stage}.denselayer{index}",
                )
                x = run(layer, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
        x = relu(norm(name="features.norm5")(x, train=train))
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="classifier",
            dtype=self.dtype,
            kernel_init=uniform,
        )
        return (logits, stages) if features else logits


# fmt: off
NETWORKS = {
    "densenet121": Network(DenseNet, {"depths": (6, 12, 24, 16), "growth": 32, "stem_width": 64}),
    "densenet161": Network(DenseNet, {"depths": (6, 12, 36, 24), "growth": 48, "stem_width": 96}),
    "densenet169": Network(DenseNet, {"depths": (6, 12, 32, 32), "growth": 32, "stem_width": 64}),
    "densenet201": Network(DenseNet, {"depths": (6, 12, 48, 32), "growth": 32, "stem_width": 64}),
    "densenetblur121d": Network(DenseNet, {"depths": (6, 12, 24, 16), "growth": 32, "stem_width": 64, "deep_stem": True, "blur": True}),
    "densenet264d": Network(DenseNet, {"depths": (6, 12, 64, 48), "growth": 48, "stem_width": 96, "deep_stem": True}),
}
# fmt: on
