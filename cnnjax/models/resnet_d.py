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
from typing import Any

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


def _row(
    block: Callable[..., nn.Module], stem: tuple[int, int, int] | None, *row: Any, **fields: Any
) -> Network:
    depths, input_size, parameters, statistics, gmacs, accuracy, weights = row
    return Network(
        ResNetD,
        {"block": block, "stem": stem, "depths": depths, **fields},
        parameters=parameters,
        batch_statistics=statistics,
        multiply_adds=gmacs,
        input_size=input_size,
        reference="timm",
        accuracy=accuracy,
        weights=weights,
    )


_DEEP, _TIERED, _S = (32, 32, 64), (24, 32, 64), (64, 64, 128)
_PLAIN = partial(BottleneckD, average=False)
_SE_BASIC = partial(BasicBlockD, average=False, attention=squeeze_excite(16))
_SE = partial(BottleneckD, average=False, attention=squeeze_excite(16))
_SE_D = partial(BottleneckD, attention=squeeze_excite(16))
_RS = partial(BottleneckD, attention=squeeze_excite(4))
_ECA = partial(BottleneckD, attention=EfficientChannelAttention)

# fmt: off
NETWORKS = {
    # block, stem, depths, input size, parameters, BatchNorm statistics, 1e9 multiply-adds, published top-1, weights
    "resnet10t": _row(BasicBlockD, _TIERED, (1, 1, 1, 1), 176, 5_435_488, 5_872, 0.6987, 68.354, "c3_in1k"),
    "resnet14t": _row(BottleneckD, _TIERED, (1, 1, 1, 1), 176, 10_081_632, 19_440, 1.068, 72.242, "c3_in1k"),
    "resnet18d": _row(BasicBlockD, _DEEP, (2, 2, 2, 2), 224, 11_708_744, 9_728, 2.054, 76.012, "ra4_e3600_r224_in1k"),
    "resnet34d": _row(BasicBlockD, _DEEP, (3, 4, 6, 3), 224, 21_816_904, 17_152, 3.903, 78.44, "ra2_in1k"),
    "resnet26": _row(_PLAIN, None, (2, 2, 2, 2), 224, 15_995_176, 30_848, 2.342, 76.384, "bt_in1k"),
    "resnet26t": _row(BottleneckD, _TIERED, (2, 2, 2, 2), 256, 16_011_872, 30_960, 3.33, 78.33, "ra2_in1k"),
    "resnet26d": _row(BottleneckD, _DEEP, (2, 2, 2, 2), 224, 16_014_408, 30_976, 2.582, 77.422, "bt_in1k"),
    "resnet50d": _row(BottleneckD, _DEEP, (3, 4, 6, 3), 224, 25_576_264, 53_248, 4.329, 81.84, "ra4_e3600_r224_in1k"),
    "resnet101d": _row(BottleneckD, _DEEP, (3, 4, 23, 3), 256, 44_568_392, 105_472, 10.502, 83.02, "ra2_in1k"),
    "resnet152d": _row(BottleneckD, _DEEP, (3, 8, 36, 3), 256, 60_212_040, 151_552, 15.351, 83.684, "ra2_in1k"),
    "resnet200d": _row(BottleneckD, _DEEP, (3, 24, 36, 3), 256, 64_693_064, 176_128, 19.914, 83.976, "ra2_in1k"),
    "resnet50t": _row(BottleneckD, _TIERED, (3, 4, 6, 3), 224, 25_573_728, 53_232, 4.297, None, None),
    "resnet50c": _row(_PLAIN, _DEEP, (3, 4, 6, 3), 224, 25_576_264, 53_248, 4.329, 78.016, "gluon_in1k"),
    "resnet101c": _row(_PLAIN, _DEEP, (3, 4, 23, 3), 224, 44_568_392, 105_472, 8.041, 79.542, "gluon_in1k"),
    "resnet152c": _row(_PLAIN, _DEEP, (3, 8, 36, 3), 224, 60_212_040, 151_552, 11.753, 79.904, "gluon_in1k"),
    "resnet50s": _row(_PLAIN, _S, (3, 4, 6, 3), 224, 25_680_808, 53_504, 5.444, 78.71, "gluon_in1k"),
    "resnet101s": _row(_PLAIN, _S, (3, 4, 23, 3), 224, 44_672_936, 105_728, 9.157, 80.278, "gluon_in1k"),
    "resnet152s": _row(_PLAIN, _S, (3, 8, 36, 3), 224, 60_316_584, 151_808, 12.869, 81.048, "gluon_in1k"),
    "resnet200": _row(_PLAIN, None, (3, 24, 36, 3), 224, 64_673_832, 176_000, 15.007, None, None),
    "resnet50_gn": _row(partial(_PLAIN, norm=group_norm), None, (3, 4, 6, 3), 224, 25_557_032, 0, 4.089, 81.216, "a1h_in1k", norm=group_norm),
    "resnext50d_32x4d": _row(partial(BottleneckD, groups=32, base_width=4), _DEEP, (3, 4, 6, 3), 224, 25_048_136, 68_352, 4.47, 80.676, "bt_in1k"),
    "resnext101_32x4d": _row(partial(_PLAIN, groups=32, base_width=4), None, (3, 4, 23, 3), 224, 44_177_704, 137_856, 7.97, None, "fb_ssl_yfcc100m_ft_in1k"),
    "resnext101_32x16d": _row(partial(_PLAIN, groups=32, base_width=16), None, (3, 4, 23, 3), 224, 194_026_792, 332_928, 36.163, 84.166, "fb_wsl_ig1b_ft_in1k"),
    "resnext101_32x32d": _row(partial(_PLAIN, groups=32, base_width=32), None, (3, 4, 23, 3), 224, 468_530_472, 593_024, 87.107, 85.09, "fb_wsl_ig1b_ft_in1k"),
    "resnetaa34d": _row(partial(BasicBlockD, halve=_mean), _DEEP, (3, 4, 6, 3), 224, 21_816_904, 17_152, 4.424, None, None, pool=_mean),
    "resnetaa50": _row(partial(_PLAIN, halve=_mean), None, (3, 4, 6, 3), 224, 25_557_032, 53_120, 5.13, 81.618, "a1h_in1k", pool=_mean),
    "resnetaa50d": _row(partial(BottleneckD, halve=_mean), _DEEP, (3, 4, 6, 3), 224, 25_576_264, 53_248, 5.369, 82.656, "sw_in12k_ft_in1k", pool=_mean),
    "resnetaa101d": _row(partial(BottleneckD, halve=_mean), _DEEP, (3, 4, 23, 3), 224, 44_568_392, 105_472, 9.081, 84.114, "sw_in12k_ft_in1k", pool=_mean),
    "resnetblur18": _row(partial(BasicBlockD, average=False, halve=ops.blur_pool), None, (2, 2, 2, 2), 224, 11_689_512, 9_600, 2.334, None, None, pool=_blurred_max_pool),
    "resnetblur50": _row(partial(_PLAIN, halve=ops.blur_pool), None, (3, 4, 6, 3), 224, 25_557_032, 53_120, 5.13, 80.248, "bt_in1k", pool=_blurred_max_pool),
    "resnetblur50d": _row(partial(BottleneckD, halve=ops.blur_pool), _DEEP, (3, 4, 6, 3), 224, 25_576_264, 53_248, 5.369, None, None, pool=_blurred_max_pool),
    "resnetblur101d": _row(partial(BottleneckD, halve=ops.blur_pool), _DEEP, (3, 4, 23, 3), 224, 44_568_392, 105_472, 9.081, None, None, pool=_blurred_max_pool),
    "resnetrs50": _row(_RS, _DEEP, (3, 4, 6, 3), 160, 35_691_912, 53_376, 2.279, 79.934, "tf_in1k", pool=None),
    "resnetrs101": _row(_RS, _DEEP, (3, 4, 23, 3), 192, 63_618_696, 105_600, 6.012, 82.288, "tf_in1k", pool=None),
    "resnetrs152": _row(_RS, _DEEP, (3, 8, 36, 3), 256, 86_621_576, 151_680, 15.528, 83.71, "tf_in1k", pool=None),
    "resnetrs200": _row(_RS, _DEEP, (3, 24, 36, 3), 256, 93_209_992, 176_256, 20.093, 84.448, "tf_in1k", pool=None),
    "resnetrs270": _row(_RS, _DEEP, (4, 29, 53, 4), 256, 129_861_448, 243_072, 26.95, 84.438, "tf_in1k", pool=None),
    "resnetrs350": _row(_RS, _DEEP, (4, 36, 72, 4), 288, 163_956_168, 312_192, 43.494, 84.71, "tf_in1k", pool=None),
    "resnetrs420": _row(_RS, _DEEP, (4, 44, 87, 4), 320, 191_891_656, 370_560, 63.942, 85.01, "tf_in1k", pool=None),
    "seresnet18": _row(_SE_BASIC, None, (2, 2, 2, 2), 224, 11_779_624, 9_600, 1.814, None, None),
    "seresnet34": _row(_SE_BASIC, None, (3, 4, 6, 3), 224, 21_960_416, 17_024, 3.664, None, None),
    "seresnet50": _row(_SE, None, (3, 4, 6, 3), 224, 28_088_024, 53_120, 4.092, 81.288, "ra2_in1k"),
    "seresnet101": _row(_SE, None, (3, 4, 23, 3), 224, 49_326_872, 105_344, 7.806, None, None),
    "seresnet152": _row(_SE, None, (3, 8, 36, 3), 224, 66_821_848, 151_424, 11.52, None, None),
    "seresnet50t": _row(_SE_D, _TIERED, (3, 4, 6, 3), 224, 28_104_720, 53_232, 4.3, None, None),
    "seresnet152d": _row(_SE_D, _DEEP, (3, 8, 36, 3), 256, 66_841_080, 151_552, 15.357, 84.344, "ra2_in1k"),
    "seresnet200d": _row(_SE_D, _DEEP, (3, 24, 36, 3), 256, 71_855_096, 176_128, 19.921, None, None),
    "seresnet269d": _row(_SE_D, _DEEP, (3, 30, 48, 8), 256, 113_672_760, 252_928, 26.485, None, None),
    "seresnetaa50d": _row(partial(_SE_D, halve=_mean), _DEEP, (3, 4, 6, 3), 224, 28_107_256, 53_248, 5.372, None, None, pool=_mean),
    "seresnext26d_32x4d": _row(partial(_SE_D, groups=32, base_width=4), _DEEP, (2, 2, 2, 2), 224, 16_809_512, 38_656, 2.712, 78.816, "bt_in1k"),
    "seresnext26t_32x4d": _row(partial(_SE_D, groups=32, base_width=4), _TIERED, (2, 2, 2, 2), 224, 16_806_976, 38_640, 2.68, 78.736, "bt_in1k"),
    "senet154": _row(partial(_SE, groups=64, base_width=4, first_reduction=2, shortcut_kernel=3), _S, (3, 8, 36, 3), 224, 115_088_984, 247_552, 20.688, 81.258, "gluon_in1k"),
    "seresnext50_32x4d": _row(partial(_SE, groups=32, base_width=4), None, (3, 4, 6, 3), 224, 27_559_896, 68_224, 4.233, 82.186, "racm_in1k"),
    "seresnext101_32x4d": _row(partial(_SE, groups=32, base_width=4), None, (3, 4, 23, 3), 224, 48_955_416, 137_856, 7.975, 80.886, "gluon_in1k"),
    "seresnext101_64x4d": _row(partial(_SE, groups=64, base_width=4), None, (3, 4, 23, 3), 224, 88_232_984, 202_880, 15.465, 80.884, "gluon_in1k"),
    "seresnext101_32x8d": _row(partial(_SE, groups=32, base_width=8), None, (3, 4, 23, 3), 224, 93_569_048, 202_880, 16.419, 84.192, "ah_in1k"),
    "seresnext101d_32x8d": _row(partial(_SE_D, groups=32, base_width=8), _DEEP, (3, 4, 23, 3), 224, 93_588_280, 203_008, 16.658, 84.38, "ah_in1k"),
    "seresnextaa101d_32x8d": _row(partial(_SE_D, groups=32, base_width=8, halve=_mean), _DEEP, (3, 4, 23, 3), 288, 93_588_280, 203_008, 28.393, 86.722, "sw_in12k_ft_in1k_288", pool=_mean),
    "seresnextaa201d_32x8d": _row(partial(_SE_D, groups=32, base_width=8, halve=_mean), _S, (3, 24, 36, 4), 384, 149_394_904, 356_864, 100.712, 87.304, "sw_in12k_ft_in1k_384", pool=_mean),
    "ecaresnet26t": _row(_ECA, _TIERED, (2, 2, 2, 2), 256, 16_011_916, 30_960, 3.33, 79.9, "ra2_in1k"),
    "ecaresnet50t": _row(_ECA, _TIERED, (3, 4, 6, 3), 256, 25_573_814, 53_232, 5.612, 82.37, "ra2_in1k"),
    "ecaresnet50d": _row(_ECA, _DEEP, (3, 4, 6, 3), 224, 25_576_350, 53_248, 4.329, 81.648, "miil_in1k"),
    "ecaresnet101d": _row(_ECA, _DEEP, (3, 4, 23, 3), 224, 44_568_563, 105_472, 8.041, 83.006, "miil_in1k"),
    "ecaresnet200d": _row(_ECA, _DEEP, (3, 24, 36, 3), 256, 64_693_400, 176_128, 19.914, None, None),
    "ecaresnet269d": _row(_ECA, _DEEP, (3, 30, 48, 8), 320, 102_093_077, 252_928, 41.365, 84.968, "ra2_in1k"),
    "ecaresnetlight": _row(_ECA, None, (1, 1, 11, 3), 224, 30_162_046, 62_336, 4.089, 81.43, "miil_in1k"),
    "ecaresnext26t_32x4d": _row(partial(_ECA, groups=32, base_width=4), _TIERED, (2, 2, 2, 2), 224, 15_406_220, 38_640, 2.679, None, None),
    "ecaresnext50t_32x4d": _row(partial(_ECA, groups=32, base_width=4), _TIERED, (3, 4, 6, 3), 224, 25_045_686, 68_336, 4.439, None, None),
}
# fmt: on
