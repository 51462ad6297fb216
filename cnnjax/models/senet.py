"""SENet-154 and the first SE-ResNets and SE-ResNeXts.

Hu et al. 2018, "Squeeze-and-Excitation Networks" (arXiv:1709.01507), as timm.models.senet defines
them after the authors' Caffe networks: a bottleneck of SE-ResNet strides in its first 1x1
convolution, the stem's pool has no padding. (`seresnet50` and `senet154` are of timm's ResNets.)
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import (
    BatchNorm,
    Conv,
    SqueezeExcite,
    classify,
    kaiming_normal,
    project,
    relu,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "SENet", "SqueezeExciteBasic", "SqueezeExciteBottleneck"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)
_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


def _gate(channels: int, dtype: DType) -> SqueezeExcite:
    """Squeeze-excite to a sixteenth of the channels."""
    return SqueezeExcite(
        channels // 16,
        kernel_init=kaiming_normal,
        bias_init=uniform_bias,
        dtype=dtype,
        name="se_module",
    )


class SqueezeExciteBasic(nn.Module):
    """Two 3x3 convolutions, each with a norm and a ReLU, squeeze-excite, and a shortcut."""

    width: int
    strides: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""
        conv = partial(_conv, kernel_size=(3, 3), padding=1, dtype=self.dtype)
        norm = partial(_norm, dtype=self.dtype)
        y = conv(self.width, strides=self.strides, name="conv1")(x)
        y = relu(norm(name="bn1")(y, train=train))
        y = conv(self.width, name="conv2")(y)
        y = relu(norm(name="bn2")(y, train=train))
        shortcut = partial(project, average=False, dtype=self.dtype, train=train)
        y = _gate(y.shape[-1], self.dtype)(y, train=train)
        return relu(y + shortcut(x, self.width, self.strides))


class SqueezeExciteBottleneck(nn.Module):
    """1x1, 3x3 (grouped) and 1x1 convolutions, squeeze-excite, and a shortcut.

    The 1x1 gives `first`, the 3x3 `inner` times `width` channels. The stride is in the 1x1 with
    `stride_first`, else in the 3x3. `shortcut_kernel` is the size of a strided shortcut.
    """

    width: int
    strides: int = 1
    first: int = 1
    inner: int = 1
    groups: int = 1
    stride_first: bool = False
    shortcut_kernel: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, 4 * width]`."""
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_norm, dtype=self.dtype)
        one, three = (self.strides, 1) if self.stride_first else (1, self.strides)
        y = conv(self.first * self.width, (1, 1), one, name="conv1")(x)
        y = conv(
            self.inner * self.width,
            (3, 3),
            three,
            padding=1,
            feature_group_count=self.groups,
            name="conv2",
        )(relu(norm(name="bn1")(y, train=train)))
        y = relu(norm(name="bn2")(y, train=train))
        y = conv(4 * self.width, (1, 1), name="conv3")(y)
        y = norm(name="bn3")(y, train=train)
        y = _gate(y.shape[-1], self.dtype)(y, train=train)
        shortcut = project(
            x,
            4 * self.width,
            self.strides,
            average=False,
            kernel_size=self.shortcut_kernel,
            dtype=self.dtype,
            train=train,
        )
        return relu(y + shortcut)


class SENet(nn.Module):
    """A stem, four stages of residual blocks, global average pooling and a linear layer.

    `stem` has the widths of its 3x3 convolutions; None is one 7x7 of 64 channels. `block` is called
    with `width`, `strides`, `dtype` and `name`; `depths` counts the blocks of each stage. The
    reference drops a fifth of the features before the last layer in training.
    """

    block: Callable[..., nn.Module]
    depths: tuple[int, ...]
    stem: tuple[int, ...] | None = None
    num_classes: int = 1000
    dropout_rate: float = 0.2
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(_norm, dtype=self.dtype)
        if self.stem is None:
            x = conv(64, (7, 7), 2, padding=3, name="layer0.conv1")(images)
            x = relu(norm(name="layer0.bn1")(x, train=train))
        else:
            x = images
            for index, width in enumerate(self.stem, start=1):
                strides = 2 if index == 1 else 1
                x = conv(width, (3, 3), strides, padding=1, name=f"layer0.conv{index}")(x)
                x = relu(norm(name=f"layer0.bn{index}")(x, train=train))
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, ceil_mode=True)
        for stage, depth in enumerate(self.depths, start=1):
            for index in range(depth):
                block = self.block(
                    width=32 * 2**stage,
                    strides=2 if stage > 1 and index == 0 else 1,
                    dtype=self.dtype,
                    name=f"layer{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage}"] = x
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


_50 = partial(SqueezeExciteBottleneck, stride_first=True)
_NEXT = partial(SqueezeExciteBottleneck, first=2, inner=2, groups=32)
_154 = partial(SqueezeExciteBottleneck, first=2, inner=4, groups=64, shortcut_kernel=3)

# fmt: off
NETWORKS = {
    "legacy_seresnet18": Network(SENet, {"block": SqueezeExciteBasic, "depths": (2, 2, 2, 2)}),
    "legacy_seresnet34": Network(SENet, {"block": SqueezeExciteBasic, "depths": (3, 4, 6, 3)}),
    "legacy_seresnet50": Network(SENet, {"block": _50, "depths": (3, 4, 6, 3)}),
    "legacy_seresnet101": Network(SENet, {"block": _50, "depths": (3, 4, 23, 3)}),
    "legacy_seresnet152": Network(SENet, {"block": _50, "depths": (3, 8, 36, 3)}),
    "legacy_seresnext26_32x4d": Network(SENet, {"block": _NEXT, "depths": (2, 2, 2, 2)}),
    "legacy_seresnext50_32x4d": Network(SENet, {"block": _NEXT, "depths": (3, 4, 6, 3)}),
    "legacy_seresnext101_32x4d": Network(SENet, {"block": _NEXT, "depths": (3, 4, 23, 3)}),
    "legacy_senet154": Network(SENet, {"block": _154, "depths": (3, 8, 36, 3), "stem": (64, 64, 128)}),
}
# fmt: on
