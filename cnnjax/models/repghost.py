"""RepGhost: a ghost layer whose halves are added, not joined, in one depthwise convolution.

Chen et al. 2022 (arXiv:2211.06088), as timm.models.repghost defines it.
"""

from typing import Any

from flax import linen as nn

from cnnjax.models.ghostnet import GROUPS, GhostBottleneck, GhostNet, Group, layer
from cnnjax.models.network import Network
from cnnjax.nn import BatchNorm, Conv, join_branches, uniform, uniform_bias
from cnnjax.typing import Activation, Array, Variables

__all__ = ["NETWORKS", "RepGhostBottleneck", "RepGhostNet"]

# GhostNet's, expanded by half as much; two blocks, by more than half.
_GROUPS: tuple[Group, ...] = tuple(
    tuple(
        (size, {184: 120}.get(expanded, expanded // 2), width, squeeze_excite, strides)
        for size, expanded, width, squeeze_excite, strides in rows
    )
    for rows in GROUPS
)


class RepGhostBottleneck(GhostBottleneck):
    """A `GhostBottleneck` of layers `act(bn(depthwise(y)) + bn(y))`, `y` a 1x1 layer.

    With `deployed`, one depthwise convolution with a bias.
    """

    deployed: bool = False

    def ghost(self, x: Array, width: int, act: Activation, name: str, train: bool) -> Array:
        """A 1x1 layer to `width`, and a depthwise 3x3 layer of that with a shortcut."""
        names = f"{name}.primary_conv.0", f"{name}.primary_conv.1"
        x = act(layer(x, width, names=names, dtype=self.dtype, train=train))
        cheap = f"{name}.cheap_operation"
        if self.deployed:
            y = Conv(
                width,
                (3, 3),
                padding=1,
                feature_group_count=width,
                kernel_init=uniform,
                bias_init=uniform_bias(9),
                dtype=self.dtype,
                name=cheap,
            )(x)
            return act(y)
        names = f"{cheap}.0", f"{cheap}.1"
        y = layer(x, width, 3, groups=width, names=names, dtype=self.dtype, train=train)
        shortcut = BatchNorm(0.9, 1e-5, dtype=self.dtype, name=f"{name}.fusion_bn.0")
        return act(y + shortcut(x, train=train))


class RepGhostNet(GhostNet):
    """A `GhostNet` of `RepGhostBottleneck`.

    `deployed` is the fused form, which `cnnjax.fuse` makes.
    """

    groups: tuple[Group, ...] = _GROUPS
    deployed: bool = False
    last = 2

    @nn.nowrap
    def fused(self, variables: Variables) -> Variables:
        """Return the variables of the deployed form: what `cnnjax.fuse` takes."""
        return join_branches(variables, _place)

    def block(self, **fields: Any) -> nn.Module:
        """One of the blocks, of `GhostBottleneck`'s fields."""
        return RepGhostBottleneck(deployed=self.deployed, **fields)


def _place(part: str) -> str | None:
    """Return the convolution that a part of a `RepGhostBottleneck` becomes a part of."""
    ghost, _, layer = part.partition(".")
    branches = ("cheap_operation.0", "cheap_operation.1", "fusion_bn.0")
    return f"{ghost}.cheap_operation" if layer in branches else None


NETWORKS = {
    "repghostnet_050": Network(RepGhostNet, {"width_mult": 0.5}),
    "repghostnet_058": Network(RepGhostNet, {"width_mult": 0.58}),
    "repghostnet_080": Network(RepGhostNet, {"width_mult": 0.8}),
    "repghostnet_100": Network(RepGhostNet, {"width_mult": 1.0}),
    "repghostnet_111": Network(RepGhostNet, {"width_mult": 1.11}),
    "repghostnet_130": Network(RepGhostNet, {"width_mult": 1.3}),
    "repghostnet_150": Network(RepGhostNet, {"width_mult": 1.5}),
    "repghostnet_200": Network(RepGhostNet, {"width_mult": 2.0}),
}
