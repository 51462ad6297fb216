"""One row a family: the small network that stands for it in every test of all families.

A new family is tested by a row here. A class may have several, for kinds of network that differ.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import pytest

from cnnjax.models import MODELS, build, facts_of
from cnnjax.models.regnet import Line

OUT, IN, TORCH = "He, fan-out", "He, fan-in", "PyTorch's default"
GROUP, TENSORFLOW = "He, fan-out of a group", "1 / (3 fan-out)"
LECUN = "1 / fan-in"


@dataclasses.dataclass(frozen=True)
class Small:
    """A network that stands for a family, and what is true of the family.

    `fields` make it shallow where the family allows that, `pixels` is the side of a small but
    sensible image. `convolutions` and `linear` name the formula, of `test_initialization.py`, of
    the kernels at the start, None for none; the last layer is of the second kind. `uniform_biases`:
    convolutions without a norm, squeeze-excite above all, have PyTorch's default biases.

    `light`: traced and compiled so quickly that the default run has all tests of it; of the others
    a golden test runs by default. `end` is what makes logits of "pre_logits": a linear layer, a
    convolution before the mean over positions, or two linear layers that become one. `halved`: how
    often the last stage of images above 100 pixels is halved; None where a stage is not half of the
    one before, since borders are cut off, as "VALID" does, or images into patches.
    """

    network: str
    pixels: int
    convolutions: str | None
    linear: str | None
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    uniform_biases: bool = False
    light: bool = False
    end: Literal["linear", "convolution", "two linear"] = "linear"
    halved: int | None = 5

    @property
    def channels(self) -> int:
        """Of an image."""
        return facts_of(self.network).channels

    def build(self, **overrides: Any) -> Any:
        """Return the small network, with other fields too."""
        return build(self.network, **{**self.fields, **overrides})

    def images(self, batch: int = 2) -> jax.ShapeDtypeStruct:
        """Return the shape of images for it, `[B, H, W, C]`."""
        shape = (batch, self.pixels, self.pixels, self.channels)
        return jax.ShapeDtypeStruct(shape, jnp.float32)


def first_blocks(stages: Any, blocks: int) -> Any:
    """Return the first so many blocks of each of a table's stages."""

    def single(row: Any, index: int) -> Any:
        return dataclasses.replace(row, strides=1 if index else row.strides, repeats=1)

    whole = [[single(row, i) for row in stage for i in range(row.repeats)] for stage in stages]
    return tuple(tuple(stage[:blocks]) for stage in whole)


# Groups of a small GhostNet, with and without a stride, squeeze-excite and another width.
GHOSTS = (((3, 16, 16, False, 1),) * 2, ((5, 24, 24, True, 2),))
ONE_EACH = {"depths": (1, 1, 1, 1)}

ROWS = (
    Small("lenet5", 28, LECUN, LECUN, light=True, halved=None),
    Small("cnn", 16, IN, None, light=True, halved=None),
    Small("vgg11_bn_cifar", 16, OUT, LECUN),
    Small("nin_cifar", 16, IN, IN, end="convolution", light=True),
    Small("resnet8_cifar", 16, OUT, TORCH, light=True),
    Small("preresnet20_cifar", 16, OUT, TORCH, {"depths": (1, 1, 1)}, light=True),
    Small("pyramidnet110_a48_cifar", 16, OUT, TORCH, {"blocks": 1}, light=True),
    Small("densenet_bc40_12_cifar", 16, OUT, LECUN, {"depth": 2}, light=True),
    Small("resnet18", 32, OUT, TORCH, ONE_EACH, light=True),
    Small("mobilenet_v2", 32, OUT, "0.01"),
    Small("vgg11", 32, OUT, "0.01", {"hidden": 64}, halved=4),
    Small("alexnet", 64, TORCH, TORCH, {"hidden": 64}, light=True, halved=None),
    Small("squeezenet1_1", 32, IN, "0.01", end="convolution", halved=None),
    Small("densenet121", 32, IN, TORCH, {"depths": (2, 2, 2, 2)}),
    Small("mobilenet_v3_small", 32, OUT, "0.01"),
    Small("shufflenet_v2_x0_5", 32, TORCH, TORCH),
    Small("mnasnet0_5", 64, OUT, "1 / fan-out"),
    Small("efficientnet_b0", 64, OUT, TENSORFLOW),
    Small("regnet_y_400mf", 32, OUT, "0.01", uniform_biases=True),
    Small("regnety_002", 32, GROUP, "0.01", {"line": Line(4, 48, 28.8, 1.5, 8)}),
    Small("convnext_tiny", 32, "0.02", "0.02", ONE_EACH),
    Small("googlenet", 32, "0.01", "0.01"),
    Small("inception_v3", 80, "0.1", "0.1", {"depths": (1, 1, 1)}, halved=None),
    Small("seresnet50", 32, OUT, TORCH, ONE_EACH, uniform_biases=True),
    Small("gernet_s", 32, GROUP, "0.01", {"depths": (1, 1, 1, 1, 1)}),
    Small("legacy_seresnet18", 32, OUT, TORCH, ONE_EACH),
    Small("convnextv2_atto", 32, "0.02", "0.02", ONE_EACH),
    Small("resnetv2_50", 32, OUT, "0.01", ONE_EACH),
    Small("resnetv2_50x1_bit", 32, OUT, "0.01", ONE_EACH),
    Small("nfnet_f0", 32, LECUN, "0.01", ONE_EACH),
    Small("nf_resnet26", 32, LECUN, "0.01", ONE_EACH),
    Small("nf_regnet_b0", 32, LECUN, "0.01", ONE_EACH),
    Small("fasternet_t0", 32, "0.02", "0.02", ONE_EACH),
    Small("mambaout_femto", 32, "0.02", "0.02", ONE_EACH),
    Small("inception_next_atto", 32, "0.02", "0.02", ONE_EACH),
    Small("efficientnet_lite0", 32, GROUP, TENSORFLOW),
    Small("mobilenetv4_conv_small", 32, GROUP, TENSORFLOW),
    Small("skresnet50d", 32, OUT, TORCH, ONE_EACH),
    Small("resnest50d", 32, OUT, TORCH, ONE_EACH, uniform_biases=True),
    Small("mobilenetv1_100", 32, GROUP, TENSORFLOW),
    Small("repvgg_a0", 32, GROUP, "0.01", {"depths": (2, 1, 1, 1)}),
    Small("mobileone_s4", 32, GROUP, "0.01", {"depths": (1, 1, 1, 1), "attentions": (0, 0, 1, 0)}),
    Small(
        "repvit_m0_9",
        32,
        TORCH,
        "0.02",
        {"depths": (2, 1, 1, 1)},
        uniform_biases=True,
        end="two linear",
    ),
    Small("starnet_s050", 32, "0.02", "0.02", ONE_EACH, uniform_biases=True),
    Small("legacy_xception", 32, OUT, TORCH, {"middle": 1}, halved=None),
    Small("xception41", 32, TORCH, TORCH, {"middle": 1}),
    Small("tresnet_m", 32, OUT, "0.01", {"depths": (1, 1, 1, 1), "width": 16}),
    Small(
        "rdnet_tiny", 32, IN, TORCH, {"growths": (16, 16, 16, 16), "strided": (1, 2, 3), "depth": 1}
    ),
    Small("cspnext_tiny", 64, TORCH, TORCH, {"width": 16}),
    Small("lcnetv2_small", 32, OUT, TORCH, {"depths": (1, 1, 1, 2), "width_mult": 0.25}),
    Small(
        "efficientnet_cc_b0_4e",
        32,
        GROUP,
        "1 / (3 fan-in + 3 fan-out)",
        {"stages": first_blocks(MODELS["efficientnet_cc_b0_4e"].fields["stages"], 1)},
    ),
    Small("dla34", 32, OUT, OUT, ONE_EACH),
    Small("dpn68", 32, TORCH, TORCH, {"depths": (1, 2, 1, 1)}),
    Small("hrnet_w18_small", 32, OUT, TORCH, {"depth": 1, "modules": (1, 1)}),
    Small("ese_vovnet39b", 32, OUT, TORCH, {"depths": (1, 1, 2, 1), "layers": 2}),
    Small("selecsls42", 64, OUT, TORCH, halved=6),
    Small("hgnetv2_b0", 32, OUT, TORCH, {"depths": (1, 1, 1, 2), "layers": 2}),
    Small("cspresnet50", 32, OUT, "0.01", ONE_EACH),
    Small("rexnet_100", 32, GROUP, TENSORFLOW, {"depths": (1, 1, 1, 1, 1, 1)}),
    Small("ghostnet_050", 64, TORCH, TORCH, uniform_biases=True),
    Small("ghostnetv3_050", 34, TORCH, TORCH, {"groups": GHOSTS}),
    Small("repghostnet_050", 32, TORCH, TORCH, {"groups": GHOSTS}),
    Small(
        "convmixer_1024_20_ks9_p14",
        28,
        TORCH,
        TORCH,
        {"width": 32, "depth": 2},
        light=True,
        halved=None,
    ),
    Small("inception_v4", 80, TORCH, TORCH, {"depths": (1, 1, 1)}, halved=None),
    Small("inception_resnet_v2", 80, TORCH, TORCH, {"depths": (1, 1, 1)}, halved=None),
    Small("nasnetalarge", 32, TORCH, TORCH, {"width": 16, "depths": (2, 1)}, halved=None),
    Small("pnasnet5large", 32, TORCH, TORCH, {"width": 16, "depths": (2,)}, halved=None),
    Small("allconv_c_cifar", 16, IN, IN, end="convolution", light=True, halved=None),
    Small("shakeshake26_2x32d_cifar", 16, OUT, TORCH, {"blocks": 1}, light=True),
    Small("airbench94_cifar", 16, None, TORCH, light=True, halved=None),
)

SMALL = {row.network: row for row in ROWS}


def parametrized(rows: Iterable[Small] = ROWS, slow: Collection[str] = ()) -> pytest.MarkDecorator:
    """Give a test each of the rows as `row`, those of the networks `slow` in the slow run."""
    mark = lambda row: pytest.mark.slow if row.network in slow else ()
    return pytest.mark.parametrize(
        "row", [pytest.param(row, marks=mark(row), id=row.network) for row in rows]
    )


every_row = parametrized()
light_rows = parametrized(slow=[row.network for row in ROWS if not row.light])


def rows_of(network: str) -> list[Small]:
    """Return the rows of that network's class."""
    family = MODELS[network].family
    return [row for row in ROWS if MODELS[row.network].family is family]
