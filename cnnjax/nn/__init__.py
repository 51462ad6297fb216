"""Linen modules that at least two families share."""

from cnnjax.nn.activations import (
    ACTIVATIONS,
    activation,
    elu,
    gelu,
    gelu_tanh,
    hard_sigmoid,
    hard_swish,
    identity,
    leaky_relu,
    relu,
    relu6,
    sigmoid,
    silu,
    tanh,
)
from cnnjax.nn.attention import (
    EffectiveSqueezeExcite,
    EfficientChannelAttention,
    GlobalContext,
    SqueezeExcite,
)
from cnnjax.nn.blocks import ConvNormAct, flatten, run
from cnnjax.nn.branches import affine, fuse, join, join_branches
from cnnjax.nn.conv import Conv
from cnnjax.nn.frozen import evaluating
from cnnjax.nn.head import classify, widen
from cnnjax.nn.initializers import (
    grouped,
    kaiming_fan_in,
    kaiming_normal,
    ungrouped,
    uniform,
    uniform_bias,
    uniform_fan_out,
    zero_bias,
)
from cnnjax.nn.norm import BatchNorm, GroupNorm, LayerNorm
from cnnjax.nn.shortcut import averaged, drop_path, drop_path_rates, project

__all__ = [
    "ACTIVATIONS",
    "BatchNorm",
    "Conv",
    "ConvNormAct",
    "EffectiveSqueezeExcite",
    "EfficientChannelAttention",
    "GlobalContext",
    "GroupNorm",
    "LayerNorm",
    "SqueezeExcite",
    "activation",
    "affine",
    "averaged",
    "classify",
    "drop_path",
    "drop_path_rates",
    "elu",
    "evaluating",
    "flatten",
    "fuse",
    "gelu",
    "gelu_tanh",
    "grouped",
    "hard_sigmoid",
    "hard_swish",
    "identity",
    "join",
    "join_branches",
    "kaiming_fan_in",
    "kaiming_normal",
    "leaky_relu",
    "project",
    "relu",
    "relu6",
    "run",
    "sigmoid",
    "silu",
    "tanh",
    "ungrouped",
    "uniform",
    "uniform_bias",
    "uniform_fan_out",
    "widen",
    "zero_bias",
]
