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
from cnnjax.nn.blocks import (
    ConvNormAct,
    DropPath,
    SqueezeExcite,
    flatten,
    kaiming_normal,
    run,
    uniform,
    uniform_bias,
)
from cnnjax.nn.conv import Conv
from cnnjax.nn.norm import BatchNorm, GroupNorm, LayerNorm

__all__ = [
    "ACTIVATIONS",
    "BatchNorm",
    "Conv",
    "ConvNormAct",
    "DropPath",
    "GroupNorm",
    "LayerNorm",
    "SqueezeExcite",
    "activation",
    "elu",
    "flatten",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "identity",
    "kaiming_normal",
    "leaky_relu",
    "relu",
    "relu6",
    "run",
    "sigmoid",
    "silu",
    "tanh",
    "uniform",
    "uniform_bias",
]
