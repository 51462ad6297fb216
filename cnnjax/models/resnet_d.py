"""timm's ResNets: ResNet-C, -D, -S and -T, ResNeXt, ResNet-RS, with attention, with blurring.

He et al. 2019, "Bag of Tricks" (arXiv:1812.01187): a stem of three 3x3 convolutions and shortcuts
that average before they project. Xie et al. 2017 (arXiv:1611.05431): groups. Hu et al. 2018
(arXiv:1709.01507) and Wang et al. 2020 (arXiv:1910.03151): attention after the last convolution of
a block. Zhang 2019 (arXiv:1904.11486): blur before subsampling. Bello et al. 2021
(arXiv:2103.07579): a convolution for the stem's pool. As timm.models.resnet defines them: the last
norm of a block starts at zero. (torchvision's ResNets are in another file.)
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.residual_blocks import (
    BasicBlockD,
    BottleneckD,
    batch_norm,
    group_norm,
    squeeze_excite,
)
from cnnjax.nn import (
    Conv,
    EfficientChannelAttention,
    classify,
    drop_path_rates,
    kaiming_normal,
    relu,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "ResNetD"]

_conv = partial(Conv, use_bias=False, kernel_init=kaiming_normal)


def _max_pool(x: Array) -> Array:
    return ops.max_pool(x, 3, strides=2, padding=1)


def _mean(x: Array) -> Array:
    return ops.avg_pool(x, 2)


def _blurred_max_pool(x: Array) -> Array:
    return ops.blur_pool(ops.max_pool(x, 3, strides=1, padding=1))


class ResNetD(nn.Module):
    """A stem, four stages of residual blocks, global average pooling and a linear layer.

    `stem` has the widths of its three 3x3 convolutions; None is one 7x7 of 64 channels. `pool`
    halves its output; None is one more 3x3 layer, strided. `block` is called with `width`,
    `strides`, `drop_path_rate`, `dtype` and `name`; `depths` counts the blocks of each stage.
    `norm` is that of the stem, called with `name` and `dtype`.
    `drop_path_rate` grows linearly from 0 at the first block.
    """

    block: Callable[..., nn.Module]
    depths: tuple[int, ...]
    stem: tuple[int, int, int] | None = (32, 32, 64)
    pool: Callable[[Array], Array] | None = _max_pool
    norm: Callable[..., nn.Module] = batch_norm
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
        conv = partial(_conv, dtype=self.dtype)
        norm = partial(self.norm, dtype=self.dtype)
        if self.stem is None:
            x = conv(64, (7, 7), 2, padding=3, name="conv1")(images)
        else:
            first, second, third = self.stem
            x = conv(first, (3, 3), 2, padding=1, name="conv1.0")(images)
            x = relu(norm(name="conv1.1")(x, train=train))
            x = conv(second, (3, 3), padding=1, name="conv1.3")(x)
            x = relu(norm(name="conv1.4")(x, train=train))
            x = conv(third, (3, 3), padding=1, name="conv1.6")(x)
        x = relu(norm(name="bn1")(x, train=train))
        stages, rates = {"stem": x}, drop_path_rates(self.drop_path_rate, self.depths)
        if self.pool is None:
            x = conv(x.shape[-1], (3, 3), 2, padding=1, name="maxpool.0")(x)
            x = relu(norm(name="maxpool.1")(x, train=train))
        else:
            x = self.pool(x)
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                block = self.block(
                    width=64 * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=uniform,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


_DEEP, _TIERED, _S = (32, 32, 64), (24, 32, 64), (64, 64, 128)
_PLAIN = partial(BottleneckD, average=False)
_SE_BASIC = partial(BasicBlockD, average=False, attention=squeeze_excite(16))
_SE = partial(BottleneckD, average=False, attention=squeeze_excite(16))
_SE_D = partial(BottleneckD, attention=squeeze_excite(16))
_RS = partial(BottleneckD, attention=squeeze_excite(4))
_ECA = partial(BottleneckD, attention=EfficientChannelAttention)

# fmt: off
NETWORKS = {
    "resnet10t": Network(ResNetD, {"block": BasicBlockD, "stem": _TIERED, "depths": (1, 1, 1, 1)}),
    "resnet14t": Network(ResNetD, {"block": BottleneckD, "stem": _TIERED, "depths": (1, 1, 1, 1)}),
    "resnet18d": Network(ResNetD, {"block": BasicBlockD, "stem": _DEEP, "depths": (2, 2, 2, 2)}),
    "resnet34d": Network(ResNetD, {"block": BasicBlockD, "stem": _DEEP, "depths": (3, 4, 6, 3)}),
    "resnet26": Network(ResNetD, {"block": _PLAIN, "stem": None, "depths": (2, 2, 2, 2)}),
    "resnet26t": Network(ResNetD, {"block": BottleneckD, "stem": _TIERED, "depths": (2, 2, 2, 2)}),
    "resnet26d": Network(ResNetD, {"block": BottleneckD, "stem": _DEEP, "depths": (2, 2, 2, 2)}),
    "resnet50d": Network(ResNetD, {"block": BottleneckD, "stem": _DEEP, "depths": (3, 4, 6, 3)}),
    "resnet101d": Network(ResNetD, {"block": BottleneckD, "stem": _DEEP, "depths": (3, 4, 23, 3)}),
    "resnet152d": Network(ResNetD, {"block": BottleneckD, "stem": _DEEP, "depths": (3, 8, 36, 3)}),
    "resnet200d": Network(ResNetD, {"block": BottleneckD, "stem": _DEEP, "depths": (3, 24, 36, 3)}),
    "resnet50t": Network(ResNetD, {"block": BottleneckD, "stem": _TIERED, "depths": (3, 4, 6, 3)}),
    "resnet50c": Network(ResNetD, {"block": _PLAIN, "stem": _DEEP, "depths": (3, 4, 6, 3)}),
    "resnet101c": Network(ResNetD, {"block": _PLAIN, "stem": _DEEP, "depths": (3, 4, 23, 3)}),
    "resnet152c": Network(ResNetD, {"block": _PLAIN, "stem": _DEEP, "depths": (3, 8, 36, 3)}),
    "resnet50s": Network(ResNetD, {"block": _PLAIN, "stem": _S, "depths": (3, 4, 6, 3)}),
    "resnet101s": Network(ResNetD, {"block": _PLAIN, "stem": _S, "depths": (3, 4, 23, 3)}),
    "resnet152s": Network(ResNetD, {"block": _PLAIN, "stem": _S, "depths": (3, 8, 36, 3)}),
    "resnet200": Network(ResNetD, {"block": _PLAIN, "stem": None, "depths": (3, 24, 36, 3)}),
    "resnet50_gn": Network(ResNetD, {"block": partial(_PLAIN, norm=group_norm), "stem": None, "depths": (3, 4, 6, 3), "norm": group_norm}),
    "resnext50d_32x4d": Network(ResNetD, {"block": partial(BottleneckD, groups=32, base_width=4), "stem": _DEEP, "depths": (3, 4, 6, 3)}),
    "resnext101_32x4d": Network(ResNetD, {"block": partial(_PLAIN, groups=32, base_width=4), "stem": None, "depths": (3, 4, 23, 3)}),
    "resnext101_32x16d": Network(ResNetD, {"block": partial(_PLAIN, groups=32, base_width=16), "stem": None, "depths": (3, 4, 23, 3)}),
    "resnext101_32x32d": Network(ResNetD, {"block": partial(_PLAIN, groups=32, base_width=32), "stem": None, "depths": (3, 4, 23, 3)}),
    "resnetaa34d": Network(ResNetD, {"block": partial(BasicBlockD, halve=_mean), "stem": _DEEP, "depths": (3, 4, 6, 3), "pool": _mean}),
    "resnetaa50": Network(ResNetD, {"block": partial(_PLAIN, halve=_mean), "stem": None, "depths": (3, 4, 6, 3), "pool": _mean}),
    "resnetaa50d": Network(ResNetD, {"block": partial(BottleneckD, halve=_mean), "stem": _DEEP, "depths": (3, 4, 6, 3), "pool": _mean}),
    "resnetaa101d": Network(ResNetD, {"block": partial(BottleneckD, halve=_mean), "stem": _DEEP, "depths": (3, 4, 23, 3), "pool": _mean}),
    "resnetblur18": Network(ResNetD, {"block": partial(BasicBlockD, average=False, halve=ops.blur_pool), "stem": None, "depths": (2, 2, 2, 2), "pool": _blurred_max_pool}),
    "resnetblur50": Network(ResNetD, {"block": partial(_PLAIN, halve=ops.blur_pool), "stem": None, "depths": (3, 4, 6, 3), "pool": _blurred_max_pool}),
    "resnetblur50d": Network(ResNetD, {"block": partial(BottleneckD, halve=ops.blur_pool), "stem": _DEEP, "depths": (3, 4, 6, 3), "pool": _blurred_max_pool}),
    "resnetblur101d": Network(ResNetD, {"block": partial(BottleneckD, halve=ops.blur_pool), "stem": _DEEP, "depths": (3, 4, 23, 3), "pool": _blurred_max_pool}),
    "resnetrs50": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (3, 4, 6, 3), "pool": None}),
    "resnetrs101": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (3, 4, 23, 3), "pool": None}),
    "resnetrs152": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (3, 8, 36, 3), "pool": None}),
    "resnetrs200": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (3, 24, 36, 3), "pool": None}),
    "resnetrs270": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (4, 29, 53, 4), "pool": None}),
    "resnetrs350": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (4, 36, 72, 4), "pool": None}),
    "resnetrs420": Network(ResNetD, {"block": _RS, "stem": _DEEP, "depths": (4, 44, 87, 4), "pool": None}),
    "seresnet18": Network(ResNetD, {"block": _SE_BASIC, "stem": None, "depths": (2, 2, 2, 2)}),
    "seresnet34": Network(ResNetD, {"block": _SE_BASIC, "stem": None, "depths": (3, 4, 6, 3)}),
    "seresnet50": Network(ResNetD, {"block": _SE, "stem": None, "depths": (3, 4, 6, 3)}),
    "seresnet101": Network(ResNetD, {"block": _SE, "stem": None, "depths": (3, 4, 23, 3)}),
    "seresnet152": Network(ResNetD, {"block": _SE, "stem": None, "depths": (3, 8, 36, 3)}),
    "seresnet50t": Network(ResNetD, {"block": _SE_D, "stem": _TIERED, "depths": (3, 4, 6, 3)}),
    "seresnet152d": Network(ResNetD, {"block": _SE_D, "stem": _DEEP, "depths": (3, 8, 36, 3)}),
    "seresnet200d": Network(ResNetD, {"block": _SE_D, "stem": _DEEP, "depths": (3, 24, 36, 3)}),
    "seresnet269d": Network(ResNetD, {"block": _SE_D, "stem": _DEEP, "depths": (3, 30, 48, 8)}),
    "seresnetaa50d": Network(ResNetD, {"block": partial(_SE_D, halve=_mean), "stem": _DEEP, "depths": (3, 4, 6, 3), "pool": _mean}),
    "seresnext26d_32x4d": Network(ResNetD, {"block": partial(_SE_D, groups=32, base_width=4), "stem": _DEEP, "depths": (2, 2, 2, 2)}),
    "seresnext26t_32x4d": Network(ResNetD, {"block": partial(_SE_D, groups=32, base_width=4), "stem": _TIERED, "depths": (2, 2, 2, 2)}),
    "senet154": Network(ResNetD, {"block": partial(_SE, groups=64, base_width=4, first_reduction=2, shortcut_kernel=3), "stem": _S, "depths": (3, 8, 36, 3)}),
    "seresnext50_32x4d": Network(ResNetD, {"block": partial(_SE, groups=32, base_width=4), "stem": None, "depths": (3, 4, 6, 3)}),
    "seresnext101_32x4d": Network(ResNetD, {"block": partial(_SE, groups=32, base_width=4), "stem": None, "depths": (3, 4, 23, 3)}),
    "seresnext101_64x4d": Network(ResNetD, {"block": partial(_SE, groups=64, base_width=4), "stem": None, "depths": (3, 4, 23, 3)}),
    "seresnext101_32x8d": Network(ResNetD, {"block": partial(_SE, groups=32, base_width=8), "stem": None, "depths": (3, 4, 23, 3)}),
    "seresnext101d_32x8d": Network(ResNetD, {"block": partial(_SE_D, groups=32, base_width=8), "stem": _DEEP, "depths": (3, 4, 23, 3)}),
    "seresnextaa101d_32x8d": Network(ResNetD, {"block": partial(_SE_D, groups=32, base_width=8, halve=_mean), "stem": _DEEP, "depths": (3, 4, 23, 3), "pool": _mean}),
    "seresnextaa201d_32x8d": Network(ResNetD, {"block": partial(_SE_D, groups=32, base_width=8, halve=_mean), "stem": _S, "depths": (3, 24, 36, 4), "pool": _mean}),
    "ecaresnet26t": Network(ResNetD, {"block": _ECA, "stem": _TIERED, "depths": (2, 2, 2, 2)}),
    "ecaresnet50t": Network(ResNetD, {"block": _ECA, "stem": _TIERED, "depths": (3, 4, 6, 3)}),
    "ecaresnet50d": Network(ResNetD, {"block": _ECA, "stem": _DEEP, "depths": (3, 4, 6, 3)}),
    "ecaresnet101d": Network(ResNetD, {"block": _ECA, "stem": _DEEP, "depths": (3, 4, 23, 3)}),
    "ecaresnet200d": Network(ResNetD, {"block": _ECA, "stem": _DEEP, "depths": (3, 24, 36, 3)}),
    "ecaresnet269d": Network(ResNetD, {"block": _ECA, "stem": _DEEP, "depths": (3, 30, 48, 8)}),
    "ecaresnetlight": Network(ResNetD, {"block": _ECA, "stem": None, "depths": (1, 1, 11, 3)}),
    "ecaresnext26t_32x4d": Network(ResNetD, {"block": partial(_ECA, groups=32, base_width=4), "stem": _TIERED, "depths": (2, 2, 2, 2)}),
    "ecaresnext50t_32x4d": Network(ResNetD, {"block": partial(_ECA, groups=32, base_width=4), "stem": _TIERED, "depths": (3, 4, 6, 3)}),
}
# fmt: on
