"""`features["pre_logits"]` `[B, C]`: what the last linear layer is given, of every network.

Read off the traced program, so that nothing is compiled: the equations between two of its arrays
are evaluated on numbers drawn at random and compared with numpy.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Literal

from cnnjax import ops
from cnnjax.models import MODELS, build, facts_of
from tests.models.small import ROWS, parametrized

# Most end in one linear layer. Where it is a convolution, a 1x1, "pre_logits" are the mean over
# positions of what that is given: its ReLU comes before the mean. Where there are two classifiers,
# each a norm and a linear layer, they are what both are given.


def ending(*ends):
    """Give a test the rows of networks that end so."""
    return parametrized(row for row in ROWS if row.end in ends)


def trace(row, **overrides):
    """The program of `(variables, images) -> (logits, pre_logits)`, and the variables' paths."""
    model, images = row.build(num_classes=7, **overrides), row.images()

    def end(variables, images):
        logits, features = model.apply(variables, images, train=False, features=True)
        return logits, features["pre_logits"]

    with ops.stock():
        variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
        program = jax.make_jaxpr(end)(variables, images).jaxpr
    paths = [
        tuple(key.key for key in path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)
    ]
    return program, dict(zip(program.invars, paths, strict=False))


def between(program, start, end):
    """The equations that lead from the variable `start` to `end`, and the inputs they need."""
    wanted, equations = {end}, []
    for equation in reversed(program.eqns):
        if wanted & set(equation.outvars) and start not in equation.outvars:
            equations.append(equation)
            wanted |= {v for v in equation.invars if not isinstance(v, Literal)}
    return equations[::-1], [v for v in program.invars if v in wanted and v is not start]


def evaluate(equations, values, end):
    values = dict(values)
    for equation in equations:
        read = [v.val if isinstance(v, Literal) else values[v] for v in equation.invars]
        out = equation.primitive.bind(*read, **equation.params)
        out = out if equation.primitive.multiple_results else [out]
        values.update(zip(equation.outvars, out, strict=True))
    return values[end]


def draw(variables):
    rng = np.random.default_rng(0)
    return {v: rng.standard_normal(v.aval.shape).astype(np.float32) for v in variables}


@ending("linear", "two linear")
def test_logits_are_a_linear_layer_of_pre_logits(row):
    program, paths = trace(row, **({"deployed": True} if row.end == "two linear" else {}))
    logits, pre_logits = program.outvars
    assert pre_logits.aval.shape == (2, pre_logits.aval.shape[1])
    assert pre_logits.aval.dtype == jnp.float32
    equations, needed = between(program, pre_logits, logits)
    layers = {paths[v][:-1] for v in needed if v in paths}  # a KeyError below: needs the images
    assert len(layers) == 1, "what logits are made of beside pre-logits"
    values = draw([pre_logits, *needed])
    weights = {paths[v][-1]: values[v] for v in needed}
    scaled = row.network == "airbench94_cifar"
    assert set(weights) == ({"kernel"} if scaled else {"kernel", "bias"})
    kernel = weights["kernel"].reshape(-1, 7)  # of a 1x1 convolution too
    expected = values[pre_logits] @ kernel + weights.get("bias", 0)
    expected *= MODELS[row.network].family.scaling if scaled else 1
    np.testing.assert_allclose(evaluate(equations, values, logits), expected, rtol=1e-4, atol=1e-4)


@ending("convolution")
def test_without_a_linear_layer_they_are_the_mean_of_the_last_convolutions_input(row):
    program, _ = trace(row)
    pre_logits = program.outvars[1]
    convolutions = [e for e in program.eqns if e.primitive.name == "conv_general_dilated"]
    assert convolutions[-1].invars[1].aval.shape[:2] == (1, 1)
    given = convolutions[-1].invars[0]
    equations, needed = between(program, given, pre_logits)
    assert not needed
    values = draw([given])
    expected = values[given].mean((1, 2))
    got = evaluate(equations, values, pre_logits)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@ending("two linear")
def test_two_classifiers_are_given_the_same(row):
    program, paths = trace(row)
    logits, pre_logits = program.outvars
    assert pre_logits.aval.shape == (2, pre_logits.aval.shape[1])
    _, needed = between(program, pre_logits, logits)
    assert {paths[v][1] for v in needed} == {
        "head.head.bn",
        "head.head.l",
        "head.head_dist.bn",
        "head.head_dist.l",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_network_has_pre_logits_of_one_axis(name):
    facts = facts_of(name)
    model = build(name)
    shape = (2, facts.input_size, facts.input_size, facts.channels)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    _, features = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, features=True), variables, images
    )
    assert len(features["pre_logits"].shape) == 2
    assert features["pre_logits"].shape[0] == 2
