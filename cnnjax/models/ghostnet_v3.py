"""GhostNetV3: GhostNetV2 with parallel branches in training, single convolutions when deployed.

Liu et al. 2024 (arXiv:2404.11202), as timm.models.ghostnet defines it.
"""

import re
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.ghostnet import GhostBottleneck, GhostNet
from cnnjax.models.network import Network
from cnnjax.nn import BatchNorm, Conv, ConvNormAct, join_branches, uniform, uniform_bias
from cnnjax.typing import Activation, Array, Variables

__all__ = ["NETWORKS", "GhostBottleneckV3", "GhostNetV3"]

# What replaces the branches of a name when deployed.
_DEPLOYED = {"primary": "primary_conv.0", "cheap": "cheap_operation.0", "dw": "conv_dw"}
_BRANCH = re.compile(r"(.*?)(primary|cheap|dw)_rpr_.*")


class GhostBottleneckV3(GhostBottleneck):
    """A `GhostBottleneck` of three parallel layers each.

    Beside depthwise ones there is a 1x1 layer, and a normalized identity where they do not stride.
    With `deployed`, one convolution with a bias in place of each sum.
    """

    deployed: bool = False

    def ghost(self, x: Array, width: int, act: Activation, name: str, train: bool) -> Array:
        """A 1x1 sum to half of `width`, and beside it a depthwise 3x3 sum of that."""
        half = width // 2
        first = act(self._sum(x, half, 1, 1, f"{name}.", "primary", train))
        second = act(self._sum(first, half, 3, 1, f"{name}.", "cheap", train))
        return jnp.concatenate([first, second], axis=-1)

    def depthwise(self, x: Array, train: bool) -> Array:
        """The strided sum."""
        return self._sum(x, x.shape[-1], self.kernel_size, self.strides, "", "dw", train)

    def _sum(
        self, x: Array, width: int, size: int, strides: int, prefix: str, kind: str, train: bool
    ) -> Array:
        groups = 1 if kind == "primary" else width
        if self.deployed:
            return Conv(
                width,
                (size, size),
                strides,
                padding=size // 2,
                feature_group_count=groups,
                kernel_init=uniform,
                bias_init=uniform_bias(size * size * x.shape[-1] // groups),
                dtype=self.dtype,
                name=prefix + _DEPLOYED[kind],
            )(x)
        layer = partial(
            ConvNormAct,
            width,
            strides=strides,
            groups=groups,
            act=None,
            kernel_init=uniform,
            names=("conv", "bn1"),
            dtype=self.dtype,
        )
        name = f"{prefix}{kind}_rpr"
        y = layer(kernel_size=size, name=f"{name}_conv.0")(x, train=train)
        for index in (1, 2):
            y = y + layer(kernel_size=size, name=f"{name}_conv.{index}")(x, train=train)
        if kind != "primary":
            y = y + layer(kernel_size=1, name=f"{name}_scale")(x, train=train)
        if kind == "cheap":
            y = y + BatchNorm(0.9, 1e-5, dtype=self.dtype, name=f"{name}_skip")(x, train=train)
        return y


class GhostNetV3(GhostNet):
    """A `GhostNet` of `GhostBottleneckV3`.

    `deployed` is the fused form, which `cnnjax.fuse` makes.
    """

    attention: bool = True
    deployed: bool = False

    @nn.nowrap
    def fused(self, variables: Variables) -> Variables:
        """Return the variables of the deployed form: what `cnnjax.fuse` takes."""
        return join_branches(variables, _place)

    def block(self, **fields: Any) -> nn.Module:
        """One of the blocks, of `GhostBottleneck`'s fields."""
        return GhostBottleneckV3(deployed=self.deployed, **fields)


def _place(part: str) -> str | None:
    """Return the convolution that a part of a `GhostBottleneckV3` becomes a part of."""
    branch = _BRANCH.fullmatch(part)
    return branch and branch[1] + _DEPLOYED[branch[2]]


NETWORKS = {
    "ghostnetv3_050": Network(GhostNetV3, {"width_mult": 0.5}),
    "ghostnetv3_100": Network(GhostNetV3, {"width_mult": 1.0}),
    "ghostnetv3_130": Network(GhostNetV3, {"width_mult": 1.3}),
    "ghostnetv3_160": Network(GhostNetV3, {"width_mult": 1.6}),
}
