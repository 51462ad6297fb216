"""Adaptive pooling against its definition, window by window."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cnnjax import ops
from cnnjax.errors import BadArgument


def by_definition(images, height, width):
    def window(i, windows, pixels):
        return slice(i * pixels // windows, -(-(i + 1) * pixels // windows))

    _, h, w, _ = images.shape
    rows = [
        [images[:, window(i, height, h), window(j, width, w)].mean((1, 2)) for j in range(width)]
        for i in range(height)
    ]
    return np.array(rows).transpose(2, 0, 1, 3)


@pytest.mark.parametrize(("shape", "size"), [((14, 21), 7), ((5, 9), (7, 4)), ((1, 8), (3, 3))])
def test_means_are_those_of_the_windows(shape, size):
    images = np.random.default_rng(0).standard_normal((2, *shape, 3)).astype(np.float32)
    height, width = size if isinstance(size, tuple) else (size, size)
    pooled = ops.adaptive_avg_pool(jnp.asarray(images), size)
    np.testing.assert_allclose(pooled, by_definition(images, height, width), atol=1e-6)


def test_an_image_of_the_size_is_left_as_it_is():
    images = jnp.ones((1, 7, 7, 2))
    assert ops.adaptive_avg_pool(images, 7) is images


def test_type_is_kept_and_gradients_are_right():
    images = jax.random.normal(jax.random.key(0), (1, 5, 4, 2))
    assert ops.adaptive_avg_pool(images.astype(jnp.bfloat16), 3).dtype == jnp.bfloat16
    check_grads(lambda x: ops.adaptive_avg_pool(x, 3), (images,), order=1)


def test_bad_arguments_are_refused():
    with pytest.raises(BadArgument, match="images"):
        ops.adaptive_avg_pool(jnp.ones((7, 7, 2)), 3)
    with pytest.raises(BadArgument, match="images"):
        ops.adaptive_avg_pool(jnp.ones((1, 7, 7, 2), jnp.uint8), 3)
    with pytest.raises(BadArgument, match="size"):
        ops.adaptive_avg_pool(jnp.ones((1, 7, 7, 2)), 0)
