"""Shortcuts: what is dropped, and what brings a block's input to the shape of its output."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import nn

X = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype(np.float32)


class Dropped(flax.linen.Module):
    rate: float

    @flax.linen.compact
    def __call__(self, x, *, train):
        return nn.drop_path(x, self.rate, train=train)


def test_drop_path_drops_whole_images_and_keeps_the_expectation():
    ones = jnp.ones((2000, 2, 2, 1))
    drop = Dropped(0.25)
    y = np.asarray(drop.apply({}, ones, train=True, rngs={"dropout": jax.random.key(0)}))
    per_image = y.reshape(len(y), -1)
    assert (per_image == per_image[:, :1]).all()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75], rtol=1e-6)
    # Five standard errors of the mean of 2,000 Bernoulli draws.
    assert abs(y.mean() - 1) < 5 * np.sqrt(0.25 / 0.75 / 2000)
    assert (np.asarray(drop.apply({}, ones, train=False)) == 1).all()
    assert (np.asarray(Dropped(0.0).apply({}, ones, train=True)) == 1).all()


def test_averaged_takes_the_stride_and_keeps_an_odd_edge():
    assert nn.averaged(X, 1) is X
    rows = [[X[:, i : i + 2, j : j + 2].mean((1, 2)) for j in (0, 2, 4)] for i in (0, 2, 4)]
    expected = np.stack([np.stack(row, 1) for row in rows], 1)
    np.testing.assert_allclose(nn.averaged(X, 2), expected, rtol=1e-5, atol=1e-6)


class Projected(flax.linen.Module):
    features: int
    strides: int
    average: bool = False
    kernel_size: int = 1

    @flax.linen.compact
    def __call__(self, x, *, train):
        return nn.project(
            x,
            self.features,
            self.strides,
            average=self.average,
            kernel_size=self.kernel_size,
            dtype=jnp.float32,
            train=train,
        )


def test_a_shortcut_of_the_same_shape_is_the_identity():
    y, variables = Projected(4, 1).init_with_output(jax.random.key(0), X, train=False)
    assert not variables
    np.testing.assert_array_equal(y, X)


@pytest.mark.parametrize(
    ("average", "strides", "names"),
    [
        (False, 2, {"downsample.0", "downsample.1"}),
        (True, 2, {"downsample.1", "downsample.2"}),
        (True, 1, {"downsample.1", "downsample.2"}),
    ],
)
def test_a_projection_convolves_and_normalizes(average, strides, names):
    y, variables = Projected(6, strides, average).init_with_output(
        jax.random.key(0), X, train=False
    )
    assert set(variables["params"]) == names
    kernel = np.asarray(variables["params"][min(names)]["kernel"])[0, 0]
    x = X[:, ::strides, ::strides]
    if average and strides == 2:
        x = np.asarray(nn.averaged(X, 2))
    np.testing.assert_allclose(y, x @ kernel / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-5)
    assert variables["batch_stats"][max(names)]["mean"].shape == (6,)


def test_only_a_strided_projection_has_the_larger_kernel():
    for strides, size in ((1, 1), (2, 3)):
        module = Projected(6, strides, kernel_size=3)
        y, variables = module.init_with_output(jax.random.key(0), X, train=False)
        assert variables["params"]["downsample.0"]["kernel"].shape == (size, size, 4, 6)
        assert y.shape == (2, -(-5 // strides), -(-5 // strides), 6)
