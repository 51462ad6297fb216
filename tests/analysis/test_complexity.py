from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import cnnjax
from cnnjax import ops
from cnnjax.analysis import Complexity, count
from cnnjax.errors import BadArgument


class Net(nn.Module):
    """A function of images as a model."""

    body: Callable

    @nn.compact
    def __call__(self, images, *, train):
        return self.body(images)


def with_own_derivative(f):
    g = jax.custom_jvp(f)
    g.defjvp(lambda primals, tangents: (f(*primals), f(*tangents)))
    return g


# Parameters and statistics to the unit, 1e9 multiply-adds to the digits that torchvision prints.
@pytest.mark.parametrize(
    ("name", "parameters", "statistics", "giga"),
    [("resnet18", 11_689_512, 9_600, 1.814), ("mobilenet_v2", 3_504_872, 34_112, 0.301)],
)
def test_counts_are_torchvisions(name, parameters, statistics, giga):
    got = count(cnnjax.build(name), (224, 224, 3))
    assert (got.parameters, got.batch_statistics) == (parameters, statistics)
    assert round(got.multiply_adds / 1e9, 3) == giga


def test_lenet_by_hand():
    by_hand = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 25 * 6 + 400 * 120 + 120 * 84 + 84 * 10
    assert count(cnnjax.build("lenet5"), (28, 28, 1)) == Complexity(61_706, 0, by_hand)


def test_counts_follow_the_input_shape():
    model = cnnjax.build("resnet20_cifar")
    small, large = (count(model, (size, size, 3)) for size in (32, 64))
    dense = 64 * 10
    assert large.parameters == small.parameters
    assert large.multiply_adds - dense == 4 * (small.multiply_adds - dense)


@pytest.mark.parametrize(
    ("settings", "positions", "taps"),
    [
        ({}, 8 * 8, 9 * 4),
        ({"strides": 2}, 4 * 4, 9 * 4),
        ({"padding": "VALID", "dilation": 2}, 4 * 4, 9 * 4),
        ({"groups": 4}, 8 * 8, 9),
    ],
)
def test_convolution(settings, positions, taps):
    kernel = jnp.ones((3, 3, 4 // settings.get("groups", 1), 12))
    model = Net(lambda x: ops.conv2d(x, kernel, **settings))
    assert count(model, (8, 8, 4)).multiply_adds == positions * taps * 12


@pytest.mark.parametrize(
    "wrap",
    [
        jax.jit,
        jax.checkpoint,
        lambda f: with_own_derivative(f),
        lambda f: lambda x: jax.vmap(f)(x[None])[0],
        lambda f: lambda x: jax.lax.scan(lambda x, _: (f(x), None), x, length=1)[0],
    ],
    ids=["jit", "remat", "custom_jvp", "vmap", "scan"],
)
def test_counts_inside_calls(wrap):
    body = lambda x: ops.conv2d(x, jnp.ones((3, 3, 4, 4)))
    assert count(Net(wrap(body)), (8, 8, 4)) == count(Net(body), (8, 8, 4))


def test_a_loop_counts_as_often_as_it_runs():
    step = lambda x, _: (ops.conv2d(x, jnp.ones((3, 3, 4, 4))), None)
    model = Net(lambda x: jax.lax.scan(step, x, length=5)[0])
    assert count(model, (8, 8, 4)).multiply_adds == 5 * 64 * 9 * 16


def test_the_same_under_either_kind_of_operations():
    model = cnnjax.build("lenet5")
    with ops.stock():
        stock = count(model, (28, 28, 1))
    assert stock == count(model, (28, 28, 1))


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28, 1), (28, 0, 1), (28.0, 28, 1), (4, 4, 1)])
def test_bad_shapes(shape):
    with pytest.raises(BadArgument):
        count(cnnjax.build("lenet5"), shape)
