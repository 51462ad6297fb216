"""Networks start as their paper or reference says, with activations of a sane size."""

import itertools
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax import ops
from tests.models.small import ROWS, SMALL, light_rows, parametrized
from tests.models.test_networks import QUICK

# By the names that `small.py` has: the standard deviation of a kernel `[kh, kw, C / groups, O]` or
# `[C, O]`, from its fan-in, its fan-out and its groups. A normal distribution that is cut far out
# counts as whole.
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
# Those whose activations are looked at in the default run.
QUICKEST = ("resnet8_cifar", "resnet18", "allconv_c_cifar", "airbench94_cifar", "starnet_s050")


def record(row, monkeypatch, wanted=("kernel",)):
    """The path, groups, initializer and shape of every such parameter, in the order of use."""
    found, param = [], nn.Module.param

    def spy(module, leaf, init, *rest, **keywords):
        if leaf in wanted:
            groups = getattr(module, "feature_group_count", getattr(module, "groups", 1))
            found.append(("/".join(module.path), groups, init, rest[0]))
        return param(module, leaf, init, *rest, **keywords)

    monkeypatch.setattr(nn.Module, "param", spy)
    model = row.build()
    with ops.stock():
        jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), row.images(1))
    return found


@light_rows
def test_kernels_have_the_variance_that_the_reference_says(row, monkeypatch):
    kernels = record(row, monkeypatch)
    # One kernel of a kind is enough: the largest that is quickly drawn.
    kinds = {}
    for index, (path, groups, init, shape) in enumerate(kernels):
        is_linear = len(shape) == 2 or index == len(kernels) - 1
        formula = row.linear if is_linear else row.convolutions
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


@parametrized(row for row in ROWS if row.uniform_biases)
def test_biases_start_as_pytorchs(row, monkeypatch):
    parameters = record(row, monkeypatch, ("kernel", "bias"))
    biases = [(k, b) for k, b in itertools.pairwise(parameters) if k[0] == b[0]]
    for (path, *_, kernel), (*_, init, shape) in biases[:2]:
        drawn = np.abs(init(jax.random.key(0), shape, jnp.float32))
        bound = np.prod(kernel[:-1]) ** -0.5
        assert 0.5 * bound < drawn.max() <= bound, path


@parametrized(slow=set(SMALL) - set(QUICKEST))
def test_activations_start_at_a_sane_size(row):
    model, shape = row.build(), row.images(4).shape
    key = jax.random.key(0, impl="unsafe_rbg")

    def spread(key):
        images = jax.random.normal(key, shape)
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
