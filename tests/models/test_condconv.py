"""Each image is convolved with its own mixture of the kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnnjax.models.condconv import ConditionalConv


@pytest.mark.parametrize(
    ("fields", "groups"),
    [
        ({"features": 5}, 1),
        ({"features": 6, "kernel_size": 3, "depthwise": True, "padding": 1}, 6),
        ({"features": 6, "kernel_size": 5, "strides": 2, "depthwise": True, "padding": "SAME"}, 6),
    ],
)
def test_a_conditional_convolution_is_one_convolution_an_image(fields, groups):
    images, weights = (
        jax.random.normal(jax.random.key(seed), shape)
        for seed, shape in enumerate([(3, 8, 7, 6), (3, 4)])
    )
    layer = ConditionalConv(experts=4, **fields)
    variables = layer.init(jax.random.key(2), images, weights)
    found = layer.apply(variables, images, weights)
    strides, padding = (layer.strides,) * 2, layer.padding
    for image, weight, got in zip(images, weights, found, strict=True):
        wanted = lax.conv_general_dilated(
            image[None],
            jnp.tensordot(weight, variables["params"]["kernel"], 1),
            strides,
            padding if isinstance(padding, str) else [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        np.testing.assert_allclose(got, wanted[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("depthwise", "deviation"), [(False, (2 / 64) ** 0.5), (True, (2 / 25) ** 0.5)]
)
def test_experts_start_apart_with_the_deviation_of_the_reference(depthwise, deviation):
    size = 5 if depthwise else 1
    layer = ConditionalConv(64, size, depthwise=depthwise, padding=size // 2, experts=8)
    images, weights = jnp.zeros((1, 6, 6, 64)), jnp.zeros((1, 8))
    kernel = layer.init(jax.random.key(0), images, weights)["params"]["kernel"]
    assert len(np.unique(kernel.reshape(8, -1)[:, 0])) == 8
    np.testing.assert_allclose(kernel.std(), deviation, rtol=0.05)
