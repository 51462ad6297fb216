"""Each image is convolved with its own mixture of the kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from cnnjax.models.condconv import ConditionalConv

LAYERS = [
    {"features": 5},
    {"features": 6, "kernel_size": 3, "groups": 6, "padding": 1},
    {"features": 6, "kernel_size": 5, "strides": 2, "groups": 6, "padding": "SAME"},
]


def drawn(fields):
    """A layer with its variables, images and weights."""
    images, weights = (
        jax.random.normal(jax.random.key(seed), shape)
        for seed, shape in enumerate([(3, 8, 7, 6), (3, 4)])
    )
    layer = ConditionalConv(experts=4, **fields)
    return layer, layer.init(jax.random.key(2), images, weights), images, weights


@pytest.mark.parametrize("fields", LAYERS)
def test_a_conditional_convolution_is_one_convolution_an_image(fields):
    layer, variables, images, weights = drawn(fields)
    found = layer.apply(variables, images, weights)
    strides, padding = (layer.strides,) * 2, layer.padding
    for image, weight, got in zip(images, weights, found, strict=True):
        wanted = lax.conv_general_dilated(
            image[None],
            jnp.tensordot(weight, variables["params"]["kernel"], 1),
            strides,
            padding if isinstance(padding, str) else [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=layer.groups,
        )
        np.testing.assert_allclose(got, wanted[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fields", LAYERS)
def test_a_batch_of_any_size_is_convolved_alike(fields):
    layer, variables, images, weights = drawn(fields)
    (batch,) = export.symbolic_shape("batch")
    shapes = [
        jax.ShapeDtypeStruct((batch, *given.shape[1:]), given.dtype) for given in (images, weights)
    ]
    program = export.export(jax.jit(lambda *given: layer.apply(variables, *given)))(*shapes)
    for size in (1, 3):
        given = images[:size], weights[:size]
        wanted = layer.apply(variables, *given)
        np.testing.assert_allclose(program.call(*given), wanted, rtol=1e-4, atol=1e-5)
