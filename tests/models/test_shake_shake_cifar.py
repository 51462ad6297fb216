"""Shake-shake: other weights backwards than forwards, drawn for each image."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.models.shake_shake_cifar import ShakeBlock, mix


def test_the_value_has_the_forward_weights_and_both_derivatives_the_backward_ones():
    keys = iter(jax.random.split(jax.random.key(0), 6))
    first, second, one, two = (jax.random.normal(next(keys), (3, 4, 4, 2)) for _ in range(4))
    forward, backward = (jax.random.uniform(next(keys), (3, 1, 1, 1)) for _ in range(2))

    def mixed(a, b):
        return mix(a, b, forward, backward)

    value, tangent = jax.jvp(mixed, (first, second), (one, two))
    np.testing.assert_allclose(value, forward * first + (1 - forward) * second, atol=1e-6)
    np.testing.assert_allclose(tangent, backward * one + (1 - backward) * two, atol=1e-6)
    to_first, to_second = jax.vjp(mixed, first, second)[1](one)
    np.testing.assert_allclose(to_first, backward * one, atol=1e-6)
    np.testing.assert_allclose(to_second, (1 - backward) * one, atol=1e-6)


def test_images_are_mixed_one_by_one_in_training_and_evenly_in_evaluation():
    images = jnp.tile(jax.random.normal(jax.random.key(0), (1, 6, 6, 4)), (3, 1, 1, 1))
    shaken, even = ShakeBlock(8), ShakeBlock(8, shake=False)
    variables = shaken.init(jax.random.key(1), images, train=False)

    def train(block, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return block.apply(variables, images, train=True, mutable=["batch_stats"], rngs=rngs)[0]

    y = train(shaken, 0)
    assert not np.allclose(y[0], y[1])
    assert not np.allclose(y, train(shaken, 1))
    np.testing.assert_array_equal(y, train(shaken, 0))
    y = train(even, 0)
    np.testing.assert_allclose(y[0], y[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        shaken.apply(variables, images, train=False), even.apply(variables, images, train=False)
    )
