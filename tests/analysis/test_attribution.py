"""Attribution: what adds up, what is where, and what happens elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import cnnjax
from cnnjax.analysis.attribution import class_scores, grad_cam, integrated_gradients
from cnnjax.errors import BadArgument

NAME = "cnn"
SPEC = "conv8-bn-relu-pool-conv16-relu-gap"


@pytest.fixture(scope="module")
def network():
    model = cnnjax.build(NAME, spec=SPEC, num_classes=5)
    images = jax.random.normal(jax.random.key(0), (3, 16, 12, 3))
    return model, model.init(jax.random.key(1), images, train=False), images


def test_attributions_of_a_network_sum_to_the_difference_of_scores(network):
    model, variables, images = network
    scores = class_scores(model, variables, jnp.array([0, 4, 2]))
    baseline = jnp.full_like(images, 0.3)
    found = jax.jit(lambda x: integrated_gradients(scores, x, baseline, steps=128))(images)
    assert found.shape == images.shape
    difference = scores(images) - scores(baseline)
    np.testing.assert_allclose(found.sum((1, 2, 3)), difference, atol=0.01 * abs(difference).max())


def test_attributions_of_a_quadratic_are_exact_with_one_step():
    """Its gradient is linear, which the midpoint rule integrates without error."""
    images = jax.random.normal(jax.random.key(2), (2, 3, 4, 1))
    found = integrated_gradients(lambda x: (x**2).sum((1, 2, 3)), images, steps=1)
    np.testing.assert_allclose(found, images**2, rtol=1e-6)


def test_an_input_without_influence_gets_nothing():
    images = jnp.ones((1, 4, 4, 1))
    found = integrated_gradients(lambda x: jnp.tanh(x[:, 0, 0, 0]), images, steps=4)
    assert found[0, 0, 0, 0] > 0
    assert jnp.count_nonzero(found) == 1


@pytest.mark.parametrize("stage", [None, "stage1", "stage2"])
def test_grad_cam_equals_its_formula_in_finite_differences(stage):
    """A two-layer network written out: the weights are means of gradients at the stage."""
    kernel = jax.random.normal(jax.random.key(3), (2, 5))

    class Net:
        def apply(self, variables, images, *, train, features=False):
            first = jnp.stack([images[..., 0] ** 2, jnp.sin(images[..., 1])], axis=-1)
            second = first * variables["factor"]
            pooled = jnp.tanh(second.mean((1, 2)))
            logits = pooled @ kernel
            stages = {"stage1": first, "stage2": second, "pre_logits": pooled}
            return (logits, stages) if features else logits

    variables = {"factor": jnp.array([[[[1.5, -0.5]]]])}
    images = jax.random.normal(jax.random.key(4), (2, 3, 4, 2))
    classes = jnp.array([1, 3])
    found = grad_cam(Net(), variables, images, classes, stage=stage)
    assert found.shape == (2, 3, 4)
    _, stages = Net().apply(variables, images, train=False, features=True)
    second = stages["stage2"]
    slope = 1 - jnp.tanh(second.mean((1, 2))) ** 2
    weights = slope * kernel[:, classes].T / (3 * 4)
    if stage == "stage1":
        weights = weights * variables["factor"][0, 0]
    activations = stages[stage or "stage2"]
    expected = jax.nn.relu((weights[:, None, None] * activations).sum(-1))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["resnet20_cifar", "mobilenet_v2_cifar"])
def test_grad_cam_of_networks_has_the_size_of_the_last_stage(name):
    model = cnnjax.build(name)
    images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
    variables = jax.eval_shape(
        lambda k, x: model.init(k, x, train=False), jax.random.key(0), images
    )
    found = jax.eval_shape(lambda v, x: grad_cam(model, v, x, jnp.array([0, 1])), variables, images)
    assert found.shape == {"resnet20_cifar": (2, 8, 8), "mobilenet_v2_cifar": (2, 4, 4)}[name]


def test_bad_arguments(network):
    model, variables, images = network
    scores = class_scores(model, variables, jnp.array([0, 1, 2]))
    with pytest.raises(BadArgument, match="steps"):
        integrated_gradients(scores, images, steps=0)
    with pytest.raises(BadArgument, match="baseline"):
        integrated_gradients(scores, images, images[:1])
    with pytest.raises(BadArgument, match="stage"):
        grad_cam(model, variables, images, jnp.array([0, 1, 2]), stage="stage9")


def test_grad_cam_of_a_module_without_features_is_refused_in_one_line(network):
    class Plain(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            return nn.Dense(2)(images.mean(axis=(1, 2)))

    images = network[2]
    with pytest.raises(BadArgument, match=r"model: Plain takes no features=True, .*pre_logits"):
        grad_cam(Plain(), {"params": {}}, images, jnp.array([0, 1, 1]))
