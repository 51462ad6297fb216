"""What is particular to airbench94: whitening from images, identities at the start."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import build, ops
from cnnjax.models.airbench_cifar import dirac, whitened, whitening_kernel


def test_whitened_patches_have_uncorrelated_channels_of_variance_one():
    noise = jax.random.normal(jax.random.key(0), (40, 16, 16, 3))
    # Neighbours and colors that go together, as in photographs.
    images = noise + jnp.roll(noise, 1, axis=1) + 0.5 * noise[..., ::-1]
    kernel = whitening_kernel(images, epsilon=0.0)
    assert kernel.shape == (2, 2, 3, 24)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    y = ops.conv2d(images, kernel[..., :12], padding="VALID").reshape(-1, 12)
    np.testing.assert_allclose(y.T @ y / len(y), np.eye(12), atol=1e-3)
    # The filters of most variance come first, and a larger epsilon only shrinks filters.
    norms = jnp.linalg.norm(kernel[..., :12].reshape(-1, 12), axis=0)
    assert np.all(np.diff(norms) >= 0)
    smaller = jnp.linalg.norm(
        whitening_kernel(images, epsilon=1.0)[..., :12].reshape(-1, 12), axis=0
    )
    assert np.all(smaller < norms)


def test_convolutions_start_as_identities():
    images = jax.random.normal(jax.random.key(0), (2, 8, 8, 4))
    y = ops.conv2d(images, dirac(jax.random.key(1), (3, 3, 4, 10)), padding=1)
    np.testing.assert_allclose(y[..., :4], images, atol=1e-6)
    assert np.std(y[..., 4:]) > 0


def test_the_whitening_kernel_is_no_parameter():
    images = jnp.zeros((1, 32, 32, 3))
    variables = jax.eval_shape(
        lambda: build("airbench94_cifar").init(jax.random.key(0), images, train=False)
    )
    assert set(variables["params"]["0"]) == {"bias"}
    assert variables["batch_stats"]["0"]["kernel"].shape == (2, 2, 3, 24)


def test_training_starts_with_the_whitening_kernel_of_its_images():
    images = jax.random.normal(jax.random.key(1), (20, 16, 16, 3))
    model = build("airbench94_cifar")
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images[:1])
    drawn = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    started = whitened(drawn, images)
    kernel = started["batch_stats"]["0"]["kernel"]
    np.testing.assert_array_equal(kernel, whitening_kernel(images))
    drawn["batch_stats"]["0"]["kernel"] = kernel
    assert jax.tree.all(jax.tree.map(np.array_equal, drawn, dict(started)))
