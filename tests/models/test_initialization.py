"""Networks start as their paper or reference says, with activations of a sane size."""

import itertools
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import build, ops
from cnnjax.models import facts_of
from tests.models.test_networks import QUICK, REPRESENTATIVES, SMALL

# The standard deviation of a kernel `[kh, kw, C / groups, O]` or `[C, O]`, from its fan-in, its
# fan-out and its groups. A normal distribution that is cut far out counts as whole.
FORMULAS = {
    "He, fan-out": lambda inside, out, groups: sqrt(2 / out),
    "He, fan-in": lambda inside, out, groups: sqrt(2 / inside),
    "He, fan-out of a group": lambda inside, out, groups: sqrt(2 * groups / out),
    "PyTorch's default": lambda inside, out, groups: sqrt(1 / (3 * inside)),
    "1 / fan-in": lambda inside, out, groups: sqrt(1 / inside),
    "1 / fan-out": lambda inside, out, groups: sqrt(1 / out),
    "1 / (3 fan-out)": lambda inside, out, groups: sqrt(1 / (3 * out)),
    "1 / (3 fan-in + 3 fan-out)": lambda inside, out, groups: sqrt(1 / (3 * (inside + out))),
    "0.01": lambda inside, out, groups: 0.01,
    "0.02": lambda inside, out, groups: 0.02,
    "0.1": lambda inside, out, groups: 0.1,
}
OUT, IN, TORCH = "He, fan-out", "He, fan-in", "PyTorch's default"
GROUP, TENSORFLOW = "He, fan-out of a group", "1 / (3 fan-out)"
LECUN = "1 / fan-in"

# The formulas of convolutions and of linear layers; the last layer is of the second kind.
INITIAL = {
    "lenet5": (LECUN, LECUN),
    "cnn": (IN, None),
    "vgg11_bn_cifar": (OUT, LECUN),
    "nin_cifar": (IN, IN),
    "resnet8_cifar": (OUT, TORCH),
    "preresnet20_cifar": (OUT, TORCH),
    "pyramidnet110_a48_cifar": (OUT, TORCH),
    "densenet_bc40_12_cifar": (OUT, LECUN),
    "resnet18": (OUT, TORCH),
    "mobilenet_v2": (OUT, "0.01"),
    "vgg11": (OUT, "0.01"),
    "alexnet": (TORCH, TORCH),
    "squeezenet1_1": (IN, "0.01"),
    "densenet121": (IN, TORCH),
    "mobilenet_v3_small": (OUT, "0.01"),
    "shufflenet_v2_x0_5": (TORCH, TORCH),
    "mnasnet0_5": (OUT, "1 / fan-out"),
    "efficientnet_b0": (OUT, TENSORFLOW),
    "regnet_y_400mf": (OUT, "0.01"),
    "regnety_002": (GROUP, "0.01"),
    "convnext_tiny": ("0.02", "0.02"),
    "googlenet": ("0.01", "0.01"),
    "inception_v3": ("0.1", "0.1"),
    "seresnet50": (OUT, TORCH),
    "gernet_s": (GROUP, "0.01"),
    "legacy_seresnet18": (OUT, TORCH),
    "convnextv2_atto": ("0.02", "0.02"),
    "resnetv2_50": (OUT, "0.01"),
    "nfnet_f0": (LECUN, "0.01"),
    "fasternet_t0": ("0.02", "0.02"),
    "mambaout_femto": ("0.02", "0.02"),
    "inception_next_atto": ("0.02", "0.02"),
    "efficientnet_lite0": (GROUP, TENSORFLOW),
    "mobilenetv4_conv_small": (GROUP, TENSORFLOW),
    "skresnet50d": (OUT, TORCH),
    "resnest50d": (OUT, TORCH),
    "mobilenetv1_100": (GROUP, TENSORFLOW),
    "repvgg_a0": (GROUP, "0.01"),
    "mobileone_s4": (GROUP, "0.01"),
    "repvit_m0_9": (TORCH, "0.02"),
    "starnet_s050": ("0.02", "0.02"),
    "legacy_xception": (OUT, TORCH),
    "xception41": (TORCH, TORCH),
    "tresnet_m": (OUT, "0.01"),
    "rdnet_tiny": (IN, TORCH),
    "cspnext_tiny": (TORCH, TORCH),
    "lcnetv2_small": (OUT, TORCH),
    "efficientnet_cc_b0_4e": (GROUP, "1 / (3 fan-in + 3 fan-out)"),
    "dla34": (OUT, OUT),
    "dpn68": (TORCH, TORCH),
    "hrnet_w18_small": (OUT, TORCH),
    "ese_vovnet39b": (OUT, TORCH),
    "selecsls42": (OUT, TORCH),
    "hgnetv2_b0": (OUT, TORCH),
    "cspresnet50": (OUT, "0.01"),
    "rexnet_100": (GROUP, TENSORFLOW),
    "ghostnet_050": (TORCH, TORCH),
    "ghostnetv3_050": (TORCH, TORCH),
    "repghostnet_050": (TORCH, TORCH),
    "convmixer_1024_20_ks9_p14": (TORCH, TORCH),
    "inception_v4": (TORCH, TORCH),
    "inception_resnet_v2": (TORCH, TORCH),
    "nasnetalarge": (TORCH, TORCH),
    "pnasnet5large": (TORCH, TORCH),
    "allconv_c_cifar": (IN, IN),
    "shakeshake26_2x32d_cifar": (OUT, TORCH),
    "airbench94_cifar": (None, TORCH),
}

# Those whose activations are looked at in the default run.
QUICKEST = ("resnet8_cifar", "resnet18", "allconv_c_cifar", "airbench94_cifar", "starnet_s050")


# Whose convolutions without a norm, squeeze-excite above all, have PyTorch's default biases.
UNIFORM_BIASES = (
    "regnet_y_400mf",
    "seresnet50",
    "resnest50d",
    "repvit_m0_9",
    "starnet_s050",
    "ghostnet_050",
)


def record(name, monkeypatch, wanted=("kernel",)):
    """The path, groups, initializer and shape of every such parameter, in the order of use."""
    size, overrides = SMALL[name]
    found, param = [], nn.Module.param

    def spy(module, leaf, init, *rest, **keywords):
        if leaf in wanted:
            groups = getattr(module, "feature_group_count", getattr(module, "groups", 1))
            found.append(("/".join(module.path), groups, init, rest[0]))
        return param(module, leaf, init, *rest, **keywords)

    monkeypatch.setattr(nn.Module, "param", spy)
    images = jax.ShapeDtypeStruct((1, size, size, facts_of(name).channels), jnp.float32)
    model = build(name, **overrides)
    with ops.stock():
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    return found


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_kernels_have_the_variance_that_the_reference_says(name, monkeypatch):
    kernels = record(name, monkeypatch)
    convolution, linear = INITIAL[name]
    # One kernel of a kind is enough: the largest that is quickly drawn.
    kinds = {}
    for index, (path, groups, init, shape) in enumerate(kernels):
        formula = linear if len(shape) == 2 or index == len(kernels) - 1 else convolution
        kind = (formula, shape[:-2], groups == 1)
        so_far = np.prod(kinds[kind][-1]) if kind in kinds else 500
        if formula and so_far <= np.prod(shape) <= 2e5:
            kinds[kind] = path, groups, init, shape
    assert kinds
    for (formula, *_), (path, groups, init, shape) in kinds.items():
        taps = int(np.prod(shape[-4:-2]))  # of one kernel, where there are several
        expected = FORMULAS[formula](taps * shape[-2], taps * shape[-1], groups)
        drawn = np.asarray(init(jax.random.key(0, impl="rbg"), shape, jnp.float32))
        off = drawn.std() / expected - 1
        assert abs(off) < 4 / sqrt(2 * drawn.size), f"{path} {shape}: {off:.1%} off {formula}"
        assert abs(drawn.mean()) < 4 * expected / sqrt(drawn.size), path


@pytest.mark.parametrize("name", UNIFORM_BIASES)
def test_biases_start_as_pytorchs(name, monkeypatch):
    parameters = record(name, monkeypatch, ("kernel", "bias"))
    biases = [(k, b) for k, b in itertools.pairwise(parameters) if k[0] == b[0]]
    for (path, *_, kernel), (*_, init, shape) in biases[:2]:
        drawn = np.abs(init(jax.random.key(0), shape, jnp.float32))
        bound = np.prod(kernel[:-1]) ** -0.5
        assert 0.5 * bound < drawn.max() <= bound, path


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICKEST else pytest.mark.slow) for n in SMALL]
)
def test_activations_start_at_a_sane_size(name):
    size, overrides = SMALL[name]
    model = build(name, **overrides)
    key = jax.random.key(0, impl="unsafe_rbg")

    def spread(key):
        images = jax.random.normal(key, (4, size, size, facts_of(name).channels))
        variables = model.init({"params": key, "dropout": key}, images, train=False)
        (logits, stages), _ = model.apply(
            variables,
            images,
            train=True,
            features=True,
            mutable=["batch_stats"],
            rngs={"dropout": key},
        )
        return logits.std(), {stage: x.std() for stage, x in stages.items()}

    with ops.stock():
        logits, stages = jax.jit(spread, compiler_options=QUICK)(key)
    assert logits < 10
    for stage, deviation in stages.items():
        assert 1e-3 < deviation < 1e3, f"{stage}: {deviation}"
