"""Multiply-adds against the figures that references print, each by its own way of counting.

`reference_multiply_adds.csv` has torchvision's, timm's and imgclsmob's figures. What they call by
one name differs: torchvision counts convolutions and matrix products, as `cnnjax.analysis.count`
and the table of networks do; timm's benchmark counts with fvcore, which adds norms, the pooling
before the classifier and upsampling; imgclsmob prints half of all floating-point operations.
"""

import csv
import functools
import math
import re
from pathlib import Path

import pytest
from flax import linen as nn

from cnnjax.analysis.complexity import multiply_adds
from cnnjax.analysis.trace import trace
from cnnjax.models import MODELS, build, facts_of
from cnnjax.models.ghostnet import GhostBottleneck
from cnnjax.models.norm_free_blocks import ScaledConv
from cnnjax.models.resnetv2 import StandardisedConv
from cnnjax.nn import BatchNorm, GroupNorm, LayerNorm

with open(Path(__file__).parent / "reference_multiply_adds.csv", newline="") as lines:
    ROWS = [(r["source"], r["network"], int(r["size"]), r["giga"]) for r in csv.DictReader(lines)]

# Tracing takes up to a few seconds: a row of each source by default, chosen for what it counts.
QUICK = {"resnet20_cifar", "resnetv2_50x1_bit", "repvgg_a0", "vgg11_bn"}


class Tally(dict):
    """How many elements or products a network has of each kind of operation, 0 of all others."""

    def __missing__(self, kind):
        return 0


@functools.cache
def tally(name, size, **fields):
    """What one image costs in evaluation, by kind; `products` are of convolutions and matrices."""
    found = Tally()

    def watch(call, args, kwargs, context):
        module, result = context.module, call(*args, **kwargs)
        if context.method_name != "__call__" or module.is_initializing():
            return result
        if isinstance(module, BatchNorm):
            found["batch norm"] += result.size
        elif isinstance(module, (LayerNorm, GroupNorm)):
            found["other norm"] += result.size
        elif isinstance(module, (StandardisedConv, ScaledConv)):
            kernel = module.variables["params"]["kernel"].size
            found["kernel norm"] += kernel * (5 if isinstance(module, ScaledConv) else 4)
        elif isinstance(module, nn.Conv) and not module.use_bias:
            found["sums saved"] += math.prod(module.variables["params"]["kernel"].shape[2:])
        elif isinstance(module, GhostBottleneck) and module.attention:
            # The gate is repeated to the size of what it multiplies.
            found["upsampled"] += math.prod(args[0].shape[:3]) * module.inner
        elif resized := re.fullmatch(r"fuse_layers\.(\d)\.(\d)", module.name or ""):
            # HRNet's: a smaller branch is repeated to the size of a larger one.
            target, source = map(int, resized.groups())
            found["upsampled"] += result.size * 4 ** (source - target) if source > target else 0
        return result

    with nn.intercept_methods(watch):
        equations = trace(build(name, **fields), (size, size, facts_of(name).channels)).equations
    for equation in equations:
        found["products"] += (products := multiply_adds(equation))
        kind, shapes = equation.primitive, equation.in_shapes
        if kind == "conv_general_dilated" and equation.params["feature_group_count"] > 1:
            found["grouped products"] += products
        elif kind == "max" and equation.call and equation.call[1] == "relu":
            found["relu"] += math.prod(equation.out_shapes[0])
        elif kind.startswith("reduce_window"):
            window = math.prod(equation.params["window_dimensions"])
            found["pool"] += window * math.prod(equation.out_shapes[0])
        elif kind == "reduce_sum" and len(shapes[0]) == 4 and equation.params["axes"] == (1, 2):
            found["last pool"] = math.prod(shapes[0])
    return found


def torchvisions(name, size):
    return tally(name, size)["products"]


def timms(name, size):
    """fvcore's `FlopCountAnalysis` in evaluation mode, of the fused form of what has one."""
    parallel = ("repvgg", "mobileone", "ghostnetv3", "repghostnet", "repvit")
    fused = {"deployed": True} if name.startswith(parallel) else {}
    found = tally(name, size, **fused)
    total = found["products"] + 2 * found["batch norm"] + 5 * found["other norm"]
    total += found["kernel norm"] + found["last pool"] + found["upsampled"]
    if name.startswith("convmixer"):
        # fvcore does not know the operation of PyTorch's padding="same" and leaves it out.
        total -= found["grouped products"]
    return total


def imgclsmobs(name, size):
    """Half the floating-point operations: of a sum of n products 2 n, or 2 n - 1 with no bias.

    That 1 is taken off once for a kernel's inputs and outputs, not at every position.
    """
    option_b = {"resnet20_cifar", "resnet56_cifar", "resnet110_cifar"}
    found = tally(name, size, **({"shortcut": "B"} if name in option_b else {}))
    others = 4 * found["batch norm"] + found["relu"] + found["pool"] + found["last pool"]
    return found["products"] + (others - found["sums saved"]) / 2


COUNT = {"torchvision": torchvisions, "timm": timms, "imgclsmob": imgclsmobs}


@pytest.mark.parametrize(
    ("source", "name", "size", "giga"),
    [pytest.param(*r, marks=() if r[1] in QUICK else pytest.mark.slow) for r in ROWS],
)
def test_counts_are_the_references_to_the_digits_it_prints(source, name, size, giga):
    decimals = len(giga.partition(".")[2])
    assert f"{COUNT[source](name, size) / 1e9:.{decimals}f}" == giga


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in MODELS]
)
def test_the_table_says_what_is_counted(name):
    """Convolutions and matrix products, to the last one."""
    facts = facts_of(name)
    assert facts.multiply_adds == tally(name, facts.input_size)["products"]
