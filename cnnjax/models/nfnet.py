"""Normalizer-free residual networks: NF-ResNet and NFNet.

Brock et al. 2021 (arXiv:2101.08692 and arXiv:2102.06171), as timm.models.nfnet defines them:
kernels are standardised and scaled, the residual branch divides by the deviation that its input is
expected to have. "dm" are DeepMind's own networks; the others pad symmetrically, have no gain after
the branch and scale kernels by what those scale activations by.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.models.norm_free_blocks import NormFreeBlock, Scaling
from cnnjax.models.widths import round_width
from cnnjax.nn import (
    EfficientChannelAttention,
    SqueezeExcite,
    classify,
    drop_path_rates,
    gelu,
    relu,
    run,
    silu,
)
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "NormFreeNet", "NormFreeRegNet", "NormFreeResNet"]

_lecun = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class _NormFree(nn.Module):
    """What the three families share: stages of blocks, maybe a 1x1 layer, and the head."""

    depths: tuple[int, ...]
    num_classes: int = 1000
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    remat: bool = False
    dtype: DType = jnp.float32

    def _rest(
        self,
        stages: dict[str, Array],
        x: Array,
        scaling: Scaling,
        widths: Sequence[int],
        block: Callable[[int, int, int], nn.Module],
        last_width: int | None,
        *,
        train: bool,
    ) -> tuple[Array, dict[str, Array]]:
        """Return logits and stages of what the stem gives.

        `block` makes one of its stage, its place in it and the channels that it is given.
        """
        variance, rates = 1.0, drop_path_rates(self.drop_path_rate, self.depths)
        for stage, (depth, width) in enumerate(zip(self.depths, widths, strict=True)):
            for index in range(depth):
                made = block(stage, index, x.shape[-1])(
                    width,
                    scaling=scaling,
                    beta=variance**-0.5,
                    drop_path_rate=rates[stage][index],
                    dtype=self.dtype,
                    name=f"stages.{stage}.{index}",
                )
                x = run(made, x, train=train, remat=self.remat)
                # A projected shortcut starts again from variance 1; each branch adds alpha^2.
                variance = (1.0 if index == 0 else variance) + 0.2**2
            stages[f"stage{stage + 1}"] = x
        if last_width is not None:
            x = scaling.conv(last_width, 1, dtype=self.dtype, name="final_conv")(x)
        logits, stages["pre_logits"] = classify(
            scaling.activated(x),
            self.num_classes,
            train=train,
            name="head.fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.initializers.normal(0.01),
        )
        return logits, stages


class NormFreeResNet(_NormFree):
    """NF-ResNet: a 7x7 layer and max pooling, then bottlenecks a quarter as wide inside.

    `attention` is one of `cnnjax.nn.attention`, of every block.
    """

    attention: Callable[..., nn.Module] | None = None

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        scaling = Scaling(relu)
        x = stem = scaling.conv(64, 7, 2, dtype=self.dtype, name="stem.conv")(images)
        x = ops.max_pool(x, 3, strides=2, padding=1)
        widths = (256, 512, 1024, 2048)

        def block(stage: int, index: int, channels: int) -> Any:
            return partial(
                NormFreeBlock,
                inner=widths[stage] // 4,
                strides=2 if index == 0 and stage > 0 else 1,
                attention=self.attention,
            )

        logits, stages = self._rest({"stem": stem}, x, scaling, widths, block, None, train=train)
        return (logits, stages) if features else logits


class NormFreeNet(_NormFree):
    """NFNet: four 3x3 layers, blocks of two grouped 3x3 layers, a 1x1 layer of `last_width`.

    A block's inner width is its width times `bottleneck`; the 256 channels of the first stage are
    one group inside. `attention` is one of `cnnjax.nn.attention`, of every block.
    """

    bottleneck: float = 0.5
    attention: Callable[..., nn.Module] | None = None
    last_width: int = 3072
    scaling: Scaling = Scaling(gelu)

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        conv, act = partial(self.scaling.conv, dtype=self.dtype), self.scaling.activated
        x = act(conv(16, 3, 2, name="stem.conv1")(images))
        x = act(conv(32, 3, name="stem.conv2")(x))
        stem = conv(64, 3, name="stem.conv3")(x)
        x = conv(128, 3, 2, name="stem.conv4")(act(stem))
        widths = (256, 512, 1536, 1536)

        def block(stage: int, index: int, channels: int) -> Any:
            return partial(
                NormFreeBlock,
                inner=int(widths[stage] * self.bottleneck),
                strides=2 if index == 0 and stage > 0 else 1,
                groups=widths[stage] // widths[0],
                middle=2,
                attention=self.attention,
            )

        logits, stages = self._rest(
            {"stem": stem}, x, self.scaling, widths, block, self.last_width, train=train
        )
        return (logits, stages) if features else logits


class NormFreeRegNet(_NormFree):
    """NF-RegNet: one 3x3 layer of the first width, four strided stages, a 1x1 layer.

    A block is 2.25 times as wide inside as its input, in groups of 8 channels; squeeze-excite
    precedes its last layer.
    """

    widths: tuple[int, ...] = (40, 80, 160, 328)
    last_width: int = 960

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`.

        "stem" has stride 2, "stage1" stride 4.
        """
        check_images(self, images)
        scaling = Scaling(silu)
        x = scaling.conv(self.widths[0], 3, 2, dtype=self.dtype, name="stem.conv")(images)

        def block(stage: int, index: int, channels: int) -> Any:
            # The first block of all is as wide inside as outside.
            inner = round_width(channels * (2.25 if stage + index > 0 else 1.0))
            return partial(
                NormFreeBlock,
                inner=inner,
                strides=2 if index == 0 else 1,
                groups=inner // 8,
                early=_SE,
            )

        logits, stages = self._rest(
            {"stem": x}, x, scaling, self.widths, block, self.last_width, train=train
        )
        return (logits, stages) if features else logits


def _share(channels: int, *, ratio: float) -> int:
    return round_width(channels * ratio)


def _squeeze_excite(ratio: float) -> Callable[..., nn.Module]:
    return partial(SqueezeExcite, partial(_share, ratio=ratio), kernel_init=_lecun)


_SE = _squeeze_excite(1 / 2)

_SE_RES: dict[str, Any] = {"attention": _squeeze_excite(1 / 16)}
_ECA_RES: dict[str, Any] = {"attention": EfficientChannelAttention}
_F: dict[str, Any] = {"attention": _SE}
_DM: dict[str, Any] = {"attention": _SE, "scaling": Scaling(gelu, deepmind=True)}
_ECA: dict[str, Any] = {
    "bottleneck": 0.25,
    "scaling": Scaling(silu),
    "attention": EfficientChannelAttention,
}
_L0: dict[str, Any] = {**_ECA, "attention": _squeeze_excite(1 / 4), "last_width": 2304}


def _reg(widths: tuple[int, ...], last_width: int) -> dict[str, Any]:
    return {"widths": widths, "last_width": last_width}


# fmt: off
NETWORKS = {
    "nf_resnet26": Network(NormFreeResNet, {"depths": (2, 2, 2, 2)}),
    "nf_resnet50": Network(NormFreeResNet, {"depths": (3, 4, 6, 3)}),
    "nf_resnet101": Network(NormFreeResNet, {"depths": (3, 4, 23, 3)}),
    "nf_seresnet26": Network(NormFreeResNet, {**_SE_RES, "depths": (2, 2, 2, 2)}),
    "nf_seresnet50": Network(NormFreeResNet, {**_SE_RES, "depths": (3, 4, 6, 3)}),
    "nf_seresnet101": Network(NormFreeResNet, {**_SE_RES, "depths": (3, 4, 23, 3)}),
    "nf_ecaresnet26": Network(NormFreeResNet, {**_ECA_RES, "depths": (2, 2, 2, 2)}),
    "nf_ecaresnet50": Network(NormFreeResNet, {**_ECA_RES, "depths": (3, 4, 6, 3)}),
    "nf_ecaresnet101": Network(NormFreeResNet, {**_ECA_RES, "depths": (3, 4, 23, 3)}),
    "nf_regnet_b0": Network(NormFreeRegNet, {**_reg((40, 80, 160, 328), 960), "depths": (1, 3, 6, 6)}),
    "nf_regnet_b1": Network(NormFreeRegNet, {**_reg((40, 80, 160, 328), 960), "depths": (2, 4, 7, 7)}),
    "nf_regnet_b2": Network(NormFreeRegNet, {**_reg((40, 88, 176, 368), 1064), "depths": (2, 4, 8, 8)}),
    "nf_regnet_b3": Network(NormFreeRegNet, {**_reg((40, 96, 184, 400), 1152), "depths": (2, 5, 9, 9)}),
    "nf_regnet_b4": Network(NormFreeRegNet, {**_reg((48, 112, 216, 464), 1344), "depths": (2, 6, 11, 11)}),
    "nf_regnet_b5": Network(NormFreeRegNet, {**_reg((64, 128, 256, 528), 1536), "depths": (3, 7, 14, 14)}),
    "nfnet_f0": Network(NormFreeNet, {**_F, "depths": (1, 2, 6, 3)}),
    "nfnet_f1": Network(NormFreeNet, {**_F, "depths": (2, 4, 12, 6)}),
    "nfnet_f2": Network(NormFreeNet, {**_F, "depths": (3, 6, 18, 9)}),
    "nfnet_f3": Network(NormFreeNet, {**_F, "depths": (4, 8, 24, 12)}),
    "nfnet_f4": Network(NormFreeNet, {**_F, "depths": (5, 10, 30, 15)}),
    "nfnet_f5": Network(NormFreeNet, {**_F, "depths": (6, 12, 36, 18)}),
    "nfnet_f6": Network(NormFreeNet, {**_F, "depths": (7, 14, 42, 21)}),
    "nfnet_f7": Network(NormFreeNet, {**_F, "depths": (8, 16, 48, 24)}),
    "dm_nfnet_f0": Network(NormFreeNet, {**_DM, "depths": (1, 2, 6, 3)}),
    "dm_nfnet_f1": Network(NormFreeNet, {**_DM, "depths": (2, 4, 12, 6)}),
    "dm_nfnet_f2": Network(NormFreeNet, {**_DM, "depths": (3, 6, 18, 9)}),
    "dm_nfnet_f3": Network(NormFreeNet, {**_DM, "depths": (4, 8, 24, 12)}),
    "dm_nfnet_f4": Network(NormFreeNet, {**_DM, "depths": (5, 10, 30, 15)}),
    "dm_nfnet_f5": Network(NormFreeNet, {**_DM, "depths": (6, 12, 36, 18)}),
    "dm_nfnet_f6": Network(NormFreeNet, {**_DM, "depths": (7, 14, 42, 21)}),
    "nfnet_l0": Network(NormFreeNet, {**_L0, "depths": (1, 2, 6, 3)}),
    "eca_nfnet_l0": Network(NormFreeNet, {**_ECA, "last_width": 2304, "depths": (1, 2, 6, 3)}),
    "eca_nfnet_l1": Network(NormFreeNet, {**_ECA, "depths": (2, 4, 12, 6)}),
    "eca_nfnet_l2": Network(NormFreeNet, {**_ECA, "depths": (3, 6, 18, 9)}),
    "eca_nfnet_l3": Network(NormFreeNet, {**_ECA, "depths": (4, 8, 24, 12)}),
}
# fmt: on
