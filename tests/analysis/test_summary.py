from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import cnnjax
from cnnjax import ops
from cnnjax.analysis import count, summarise
from cnnjax.models import facts_of

NAMES = ["lenet5", "resnet20_cifar", "densenet_bc40_12_cifar", "mobilenet_v2_cifar", "nin_cifar"]


@pytest.mark.parametrize("name", NAMES)
def test_totals_are_the_sums_and_the_counts(name):
    facts, model = facts_of(name), cnnjax.build(name)
    shape = (facts.input_size, facts.input_size, facts.channels)
    summary = summarise(model, shape)
    assert summary.total == count(model, shape)
    assert summary.collapsed(1).total == summary.total
    assert not any(layer.kind == "unused" for layer in summary.layers)


def test_lenet_layer_by_layer():
    layers = summarise(cnnjax.build("lenet5"), (28, 28, 1)).layers
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("conv1", "conv 5x5"),
        ("", "tanh"),
        ("", "avg pool 2x2 /2"),
        ("conv2", "conv 5x5"),
        ("", "tanh"),
        ("", "avg pool 2x2 /2"),
        ("", "flatten"),
        ("fc1", "linear"),
        ("", "tanh"),
        ("fc2", "linear"),
        ("", "tanh"),
        ("fc3", "linear"),
    ]
    assert [layer.output_shape for layer in layers[:3]] == [(28, 28, 6), (28, 28, 6), (14, 14, 6)]
    assert [layer.receptive_field[0] for layer in layers[:6]] == [5, 5, 6, 14, 14, 16]
    assert layers[7].parameters == 400 * 120 + 120


def test_names_are_the_paths_of_the_weights():
    names = {layer.name for layer in summarise(cnnjax.build("resnet18"), (64, 64, 3)).layers}
    assert {"conv1", "bn1", "layer1.0.conv1", "layer2.0.downsample.1", "fc"} <= names


def test_remat_changes_nothing():
    plain, saving = (
        summarise(cnnjax.build("resnet18", remat=remat), (64, 64, 3)) for remat in (False, True)
    )
    assert plain == saving


class Odd(nn.Module):
    """A shared layer, a parameter outside of any layer, one that evaluation never uses."""

    @nn.compact
    def __call__(self, images, *, train):
        shared = nn.Conv(3, (3, 3), name="shared")
        x = shared(nn.relu(shared(images)))
        x = x * self.param("layer_scale", nn.initializers.ones, (1, 1, 1, 3))
        extra = nn.Dense(2, name="extra")(x)
        return nn.Dense(5, name="head")(x.mean((1, 2))) if not train else extra


def test_shared_loose_and_unused_parameters():
    layers = summarise(Odd(), (8, 8, 3)).layers
    rows = [(layer.name, layer.kind, layer.parameters, layer.multiply_adds) for layer in layers]
    work = 64 * 9 * 9
    assert rows == [
        ("shared", "conv 3x3", 84, work),
        ("", "relu", 0, 0),
        ("shared", "conv 3x3", 0, work),
        ("", "layer scale", 3, 0),
        ("extra", "linear", 8, 64 * 6),
        ("", "global avg pool", 0, 0),
        ("head", "linear", 20, 15),
    ]


class Unreached(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        if train or self.is_initializing():
            nn.Dense(2, name="auxiliary")(images)
        return nn.Dense(2, name="head")(images)


def test_what_evaluation_never_reaches_is_said():
    layers = summarise(Unreached(), (4, 4, 3)).layers
    assert [(layer.name, layer.kind, layer.parameters) for layer in layers] == [
        ("head", "linear", 8),
        ("auxiliary", "unused", 8),
    ]
    assert summarise(Unreached(), (4, 4, 3)).total == count(Unreached(), (4, 4, 3))


def test_nothing_is_computed():
    class Impossible(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            kernel = self.param("kernel", nn.initializers.ones, (1 << 20, 1 << 20))
            return jnp.dot(jnp.zeros((1, 1 << 20)), kernel) + images.mean()

    assert count(Impossible(), (4, 4, 1)).parameters == 1 << 40


class Net(nn.Module):
    body: Callable

    @nn.compact
    def __call__(self, images, *, train):
        return self.body(images)


def conv(x, size, features=4, **settings):
    kernel = jnp.ones((*size, x.shape[-1] // settings.get("groups", 1), features))
    return ops.conv2d(x, kernel, **settings)


KINDS = {
    "conv 3x2": lambda x: conv(x, (3, 2)),
    "conv 3x3 /2": lambda x: conv(x, (3, 3), strides=2),
    "conv 3x3 /1x2": lambda x: conv(x, (3, 3), strides=(2, 1)),
    "conv 3x3 dilation 2": lambda x: conv(x, (3, 3), dilation=2),
    "conv 3x3 groups 2": lambda x: conv(x, (3, 3), groups=2),
    "depthwise 3x3": lambda x: conv(x, (3, 3), groups=4),
    "depthwise 3x3 /2": lambda x: conv(x, (3, 3), groups=4, features=8, strides=2),
    "max pool 2x3": lambda x: ops.max_pool(x, (2, 3), strides=1),
    "max pool 2x2 /2": lambda x: ops.max_pool(x, 2),
    "avg pool 2x2 /2": lambda x: ops.avg_pool(x, 2),
    "global avg pool": lambda x: x.mean((1, 2)),
    "global max pool": lambda x: x.max((1, 2)),
    "flatten": lambda x: x.reshape(x.shape[0], -1),
    "linear": lambda x: x @ jnp.ones((4, 3)),
    "add": lambda x: x + jnp.sin(x),
    "subtract": lambda x: jnp.sin(x) - jnp.cos(x),
    "multiply": lambda x: jnp.sin(x) * jnp.cos(x),
    "concatenate": lambda x: jnp.concatenate([x, jnp.sin(x)], -1),
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "max": lambda x: jnp.maximum(jnp.sin(x), jnp.cos(x)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_name(kind):
    layers = summarise(Net(KINDS[kind]), (8, 8, 4)).layers
    assert [layer.kind for layer in layers if layer.kind] == [kind]
    shape = jax.eval_shape(KINDS[kind], jnp.zeros((1, 8, 8, 4))).shape
    assert layers[-1].output_shape == shape[1:]


def test_what_is_no_layer_has_no_row():
    """A square, a scale, a cast, a gate by itself: nothing that a reader would count."""
    assert summarise(Net(lambda x: -(x * x) / 2 + 1), (8, 8, 4)).layers == ()


def test_one_channel_is_not_depthwise():
    (layer,) = summarise(Net(lambda x: conv(x, (3, 3), features=2)), (8, 8, 1)).layers
    assert layer.kind == "conv 3x3"


def test_neighbours_of_one_block_are_joined():
    summary = summarise(cnnjax.build("resnet18"), (64, 64, 3))
    blocks = summary.collapsed(1)
    names = [layer.name for layer in blocks.layers if layer.name.startswith("layer")]
    assert names == [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    (joined,) = (layer for layer in blocks.layers if layer.name == "layer2.0")
    inside = [layer for layer in summary.layers if layer.path[:1] == ("layer2.0",)]
    assert len(inside) > 5
    assert joined.kind == f"{len(inside)} layers"
    assert joined.parameters == sum(layer.parameters for layer in inside)
    assert joined.batch_statistics == sum(layer.batch_statistics for layer in inside)
    assert joined.multiply_adds == sum(layer.multiply_adds for layer in inside)
    assert joined.output_shape == inside[-1].output_shape == (8, 8, 128)
    assert joined.receptive_field == inside[-1].receptive_field
    assert summary.collapsed(9) == summary.collapsed(2)


def test_norms_are_named_by_their_variables():
    class Norms(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            x = nn.BatchNorm(use_running_average=not train, name="bn")(images)
            x = nn.LayerNorm(name="ln")(x)
            return x + self.variable("batch_stats", "shift", jnp.zeros, (1, 1, 1, 3)).value

    layers = summarise(Norms(), (4, 4, 3)).layers
    rows = [(layer.name, layer.kind, layer.parameters, layer.batch_statistics) for layer in layers]
    assert rows == [("bn", "batch norm", 6, 6), ("ln", "norm", 6, 0), ("", "shift", 0, 3)]
