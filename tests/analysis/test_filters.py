"""The kernel that sees the image, whatever comes first in the tree of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import cnnjax
from cnnjax.analysis.filters import first_filters


class Branches(nn.Module):
    """A depthwise kernel comes first by name and by call, and the stem sees the scaled image."""

    @nn.compact
    def __call__(self, images, *, train):
        constant = nn.Conv(1, (3, 3), name="aside")(jnp.ones((1, 8, 8, 1)))
        x = nn.Conv(4, (5, 5), use_bias=False, name="stem")(2 * images - 1)
        x = nn.Conv(4, (3, 3), feature_group_count=4, name="a_depthwise")(nn.relu(x))
        return x.mean((1, 2)) + constant.mean()


class Flat(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.reshape(len(images), -1))


class Computed(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, images.shape[-1], 2))
        window = jax.lax.conv_general_dilated(
            images, 2 * kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return nn.Conv(3, (1, 1))(window).mean((1, 2))


def numbered(model, shape):
    """Parameters of which every one is another number."""
    images, count = jax.ShapeDtypeStruct((1, *shape), jnp.float32), iter(range(1000))
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    return jax.tree.map(lambda leaf: np.full(leaf.shape, next(count), leaf.dtype), tree["params"])


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_the_first_convolution_on_the_path_of_the_image(channels):
    params = numbered(Branches(), (8, 8, channels))
    found = first_filters(Branches(), (8, 8, channels), params)
    np.testing.assert_array_equal(found, params["stem"]["kernel"])
    assert found.dtype == np.float32


def test_networks_whose_names_hide_their_stem():
    """Sorted by name, a grey EfficientNet's depthwise kernels stand before its stem."""
    model = cnnjax.build("efficientnet_lite0", num_classes=2)
    params = numbered(model, (32, 32, 1))
    found = first_filters(model, (32, 32, 1), params)
    np.testing.assert_array_equal(found, params["conv_stem"]["kernel"])


def test_networks_without_such_a_kernel():
    for model in (Flat(), Computed()):
        assert first_filters(model, (8, 8, 3), numbered(model, (8, 8, 3))) is None
