"""Residual networks of one block scheme: GENet, ResNet-TS, ResNet-Q, RegNetZ and CLIP's ResNets.

Lin et al. 2020, "Neural Architecture Design for GPU-Efficient Networks" (arXiv:2006.14090); Cao et
al. 2019, GCNet (arXiv:1904.11492); Dollar et al. 2021, RegNetZ (arXiv:2103.06877); Radford et al.
2021, CLIP (arXiv:2103.00020), pooled over all positions in place of its attention. As
timm.models.byobnet defines them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.byobnet_blocks import Basic, Bottleneck, InvertedBottleneck
from cnnjax.models.network import Network, check_images
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    BatchNorm,
    Conv,
    ConvNormAct,
    EfficientChannelAttention,
    GlobalContext,
    SqueezeExcite,
    classify,
    drop_path_rates,
    kaiming_normal,
    relu,
    run,
    silu,
)
from cnnjax.typing import Activation, Array, DType, Images

__all__ = ["NETWORKS", "ByobNet", "Stem"]

_norm = partial(BatchNorm, momentum=0.9, epsilon=1e-5)


@dataclass(frozen=True)
class Stem:
    """3x3 layers of `widths`, the first strided and the first `bare` without norm and activation.

    More than one end in `pool`, or where that is None in a stride of the last.
    """

    widths: tuple[int, ...] = (24, 32, 64)
    bare: int = 0
    pool: Callable[[Array], Array] | None = None

    def __call__(
        self, x: Array, layer: Callable[..., nn.Module], *, train: bool, dtype: DType
    ) -> tuple[Array, Array]:
        """Return what has stride 2, and what the stages take, in a network's `__call__`."""
        half = None
        for index, width in enumerate(self.widths):
            several, last = len(self.widths) > 1, index == len(self.widths) - 1
            name = f"stem.conv{index + 1}" if several else "stem"
            strides = 2 if index == 0 or (last and self.pool is None) else 1
            if several and last and self.pool is None:
                half = x
            if index < self.bare:
                settings: dict[str, Any] = {"use_bias": False, "kernel_init": kaiming_normal}
                conv = Conv(width, (3, 3), strides, padding=1, **settings, dtype=dtype, name=name)
                x = conv(x)
            else:
                x = layer(width, 3, strides, name=name)(x, train=train)
        half = x if half is None else half
        return half, x if self.pool is None else self.pool(x)


class ByobNet(nn.Module):
    """A stem, stages of residual blocks, maybe a 1x1 layer, pooling and a linear layer.

    `blocks` has one block class for each stage, called with `width`, `strides`, `act`,
    `drop_path_rate`, `dtype` and `name`; `depths`, `widths` and `strides` are those of the stages.
    `last_width` is that of the 1x1 layer. `drop_path_rate` grows linearly from 0 at the first block
    to itself at the last.
    """

    # Twelve fields: half of them, from `act` on, are those of nearly every network.
    blocks: tuple[Callable[..., nn.Module], ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...] = (1, 2, 2, 2)
    stem: Stem = Stem()
    last_width: int | None = None
    act: Activation = silu
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

        "stem" has stride 2, what follows of the stem is not in it.
        """
        check_images(self, images)
        layer = partial(ConvNormAct, norm=_norm, act=self.act, dtype=self.dtype)
        stem, x = self.stem(images, layer, train=train, dtype=self.dtype)
        stages = {"stem": stem}
        rates = drop_path_rates(self.drop_path_rate, self.depths)
        for stage, kind in enumerate(self.blocks):
            for index in range(self.depths[stage]):
                block = kind(
                    width=self.widths[stage],
                    strides=self.strides[stage] if index == 0 else 1,
                    act=self.act,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        if self.last_width:
            x = layer(self.last_width, 1, name="final_conv")(x, train=train)
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


def _share(channels: int, *, ratio: float) -> int:
    return round_width(ratio * channels)


def _squeeze_excite(ratio: float) -> Callable[..., nn.Module]:
    return partial(SqueezeExcite, partial(_share, ratio=ratio), kernel_init=kaiming_normal)


_SE = _squeeze_excite(1 / 16)
_max_pool = partial(ops.max_pool, window=3, strides=2, padding=1)
_mean_pool = partial(ops.avg_pool, window=2, strides=2)


def _gernet(depths: tuple[int, ...], widths: tuple[int, ...], stem: int, last: int) -> Any:
    deep = partial(Bottleneck, ratio=3.0, group_size=1)
    return {
        "blocks": (Basic, Basic, Bottleneck, deep, deep),
        "depths": depths,
        "widths": widths,
        "strides": (2, 2, 2, 2, 1),
        "stem": Stem((stem,)),
        "last_width": last,
        "act": relu,
    }


def _resnet_ts(attention: Callable[..., nn.Module] | None = None, **fields: Any) -> dict[str, Any]:
    """ResNet-33-TS, whose third and fourth stages have one width."""
    return {
        "blocks": (partial(Bottleneck, attention=attention),) * 4,
        "depths": (2, 3, 3, 2),
        "widths": (256, 512, 1536, 1536),
        "last_width": 1280,
        **fields,
    }


def _resnext_ts(
    attention: Callable[..., nn.Module] | None = None,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    group_size: int | None = 32,
    pool: Callable[[Array], Array] | None = _max_pool,
    **fields: Any,
) -> dict[str, Any]:
    """ResNeXt-TS: groups of 32 channels and max pooling after the stem."""
    return {
        "blocks": (partial(Bottleneck, group_size=group_size, attention=attention),) * 4,
        "depths": depths,
        "widths": (256, 512, 1024, 2048),
        "stem": Stem(pool=pool),
        **fields,
    }


def _resnet_q(first: Callable[..., nn.Module], depth: int, extra: bool, bare: int) -> Any:
    middle = partial(Bottleneck, group_size=32, extra=extra)
    last = partial(Bottleneck, ratio=1.0, group_size=1, extra=extra)
    return {
        "blocks": (first, middle, middle, last),
        "depths": (depth, 4, 6, 4),
        "widths": (256, 512, 1536, 1536),
        "stem": Stem((16, 32, 64, 128), bare),
        "last_width": 2048,
    }


def _regnetz(group_size: int, ratio: float, *shape: Any, **fields: Any) -> dict[str, Any]:
    depths, widths, last_width = shape
    block = partial(
        InvertedBottleneck,
        ratio=ratio,
        group_size=group_size,
        attention=_squeeze_excite(1 / 4),
    )
    return {
        "blocks": (block,) * 4,
        "depths": depths,
        "widths": widths,
        "last_width": last_width,
        **fields,
    }


def _clip(depths: tuple[int, ...], factor: float = 1.0) -> dict[str, Any]:
    return {
        "blocks": (partial(Bottleneck, pooled=True),) * 4,
        "depths": depths,
        "widths": tuple(int(width * factor) for width in (256, 512, 1024, 2048)),
        "stem": Stem(tuple(int(width * factor) for width in (32, 32, 64)), pool=_mean_pool),
        "act": relu,
    }


_BASIC_STEM: dict[str, Any] = {"stem": Stem((32,)), "strides": (2, 2, 2, 2)}
_B16 = (2, 6, 12, 2), (48, 96, 192, 288), 1536
_D8 = (3, 6, 12, 3), (64, 128, 256, 384), 1792
_E8 = (3, 8, 16, 3), (96, 192, 384, 512), 2048

# fmt: off
NETWORKS = {
    "gernet_s": Network(ByobNet, _gernet((1, 3, 7, 2, 1), (48, 48, 384, 560, 256), 13, 1920)),
    "gernet_m": Network(ByobNet, _gernet((1, 2, 6, 4, 1), (128, 192, 640, 640, 640), 32, 2560)),
    "gernet_l": Network(ByobNet, _gernet((1, 2, 6, 5, 4), (128, 192, 640, 640, 640), 32, 2560)),
    "resnet32ts": Network(ByobNet, _resnet_ts(last_width=None)),
    "resnet33ts": Network(ByobNet, _resnet_ts()),
    "seresnet33ts": Network(ByobNet, _resnet_ts(_SE)),
    "eca_resnet33ts": Network(ByobNet, _resnet_ts(EfficientChannelAttention)),
    "gcresnet33ts": Network(ByobNet, _resnet_ts(GlobalContext)),
    "gcresnet50t": Network(ByobNet, _resnext_ts(GlobalContext, (3, 4, 6, 3), None, pool=None, act=relu)),
    "resnext26ts": Network(ByobNet, _resnext_ts()),
    "seresnext26ts": Network(ByobNet, _resnext_ts(_SE)),
    "eca_resnext26ts": Network(ByobNet, _resnext_ts(EfficientChannelAttention)),
    "gcresnext26ts": Network(ByobNet, _resnext_ts(GlobalContext)),
    "gcresnext50ts": Network(ByobNet, _resnext_ts(GlobalContext, (3, 4, 6, 3))),
    "resnet51q": Network(ByobNet, _resnet_q(partial(Bottleneck, group_size=32), 2, False, 2)),
    "resnet61q": Network(ByobNet, _resnet_q(partial(Basic, last=1), 1, True, 0)),
    "regnetz_b16": Network(ByobNet, _regnetz(16, 3.0, *_B16, **_BASIC_STEM)),
    "regnetz_c16": Network(ByobNet, _regnetz(16, 4.0, *_B16, **_BASIC_STEM)),
    "regnetz_d8": Network(ByobNet, _regnetz(8, 4.0, *_D8)),
    "regnetz_d32": Network(ByobNet, _regnetz(32, 4.0, *_D8)),
    "regnetz_e8": Network(ByobNet, _regnetz(8, 4.0, *_E8)),
    "resnet50_clip_gap": Network(ByobNet, _clip((3, 4, 6, 3))),
    "resnet101_clip_gap": Network(ByobNet, _clip((3, 4, 23, 3))),
    "resnet50x4_clip_gap": Network(ByobNet, _clip((4, 6, 10, 6), 1.25)),
    "resnet50x16_clip_gap": Network(ByobNet, _clip((6, 8, 18, 8), 1.5)),
    "resnet50x64_clip_gap": Network(ByobNet, _clip((3, 15, 36, 10), 2.0)),
}
# fmt: on
