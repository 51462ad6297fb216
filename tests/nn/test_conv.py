"""`Conv` is a drop-in for `flax.linen.Conv`."""

import math

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.nn.conv import Conv


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 8, 8, 4), {"kernel_size": (3, 3)}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "strides": 2, "padding": 1, "use_bias": False}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "kernel_dilation": 2, "feature_group_count": 2}),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "padding": "CIRCULAR"}),
        (
            (2, 8, 8, 4),
            {"kernel_size": (2, 2), "input_dilation": (2, 1), "padding": ((1, 0), (0, 1))},
        ),
        (
            (2, 8, 8, 4),
            {
                "kernel_size": (3, 3),
                "mask": np.tri(3)[:, :, None, None] + np.zeros(24).reshape(4, 6),
            },
        ),
        ((2, 8, 8, 4), {"kernel_size": (3, 3), "dtype": jnp.bfloat16}),
        ((8, 8, 4), {"kernel_size": (3, 3)}),
        ((2, 3, 8, 8, 4), {"kernel_size": (3, 3), "padding": ((1, 0), (0, 1))}),
        ((2, 8, 4), {"kernel_size": (3,)}),
        ((1, 4, 4, 4, 4), {"kernel_size": (3, 3, 3), "precision": "highest"}),
    ],
)
def test_parameters_and_results_are_those_of_flax(shape, options):
    x = jax.random.normal(jax.random.key(0), shape)
    # Cheap to compile; the default initializers have a test of their own.
    ramp = lambda key, shape, dtype: jnp.linspace(-1, 1, math.prod(shape), dtype=dtype).reshape(
        shape
    )
    ramps = {"kernel_init": ramp, "bias_init": ramp}
    got, wanted = (
        jax.jit(layer(6, **ramps, **options).init_with_output)(jax.random.key(1), x)
        for layer in (Conv, flax.linen.Conv)
    )
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    tolerance = 2e-2 if "dtype" in options else 1e-5
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(b, np.float32), rtol=tolerance, atol=tolerance
        )


def test_initial_values_are_those_of_flax():
    x = jnp.ones((1, 8, 8, 4))
    got, wanted = (layer(6, (3, 3)).init(jax.random.key(1), x) for layer in (Conv, flax.linen.Conv))
    jax.tree.map(np.testing.assert_array_equal, got, wanted)


def test_fields_are_those_of_flax():
    names = lambda layer: list(layer.__dataclass_fields__)
    assert names(Conv) == names(flax.linen.Conv)


def test_an_integer_kernel_is_a_square_and_layers_compare():
    assert Conv(4, 3) == Conv(4, (3, 3))
    assert Conv(4, 3).clone(features=5) == Conv(5, 3)
    assert hash(Conv(4, 3)) == hash(Conv(4, 3))


def test_the_layer_is_the_fast_convolution():
    x = jnp.ones((1, 8, 8, 4))
    layer = Conv(4, 3)
    variables = layer.init(jax.random.key(0), x)
    assert "cnnjax_convolution" in str(jax.make_jaxpr(layer.apply)(variables, x))
