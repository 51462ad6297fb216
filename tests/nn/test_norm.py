"""Normalization against its formula in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.nn import BatchNorm, GroupNorm, LayerNorm


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(3.0, 2.0, shape).astype(np.float32)


def test_batch_norm_follows_pytorch_in_training_and_evaluation():
    x = noise(4, 5, 6, 3)
    norm = BatchNorm(momentum=0.9, epsilon=1e-3)
    scale, bias = noise(3, seed=1), noise(3, seed=2)
    mean, var = noise(3, seed=3), np.abs(noise(3, seed=4))
    variables = {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }
    variables = jax.tree.map(jnp.asarray, variables)
    y, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    wide = x.astype(np.float64)
    batch_mean, batch_var = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    np.testing.assert_allclose(
        y, (wide - batch_mean) / np.sqrt(batch_var + 1e-3) * scale + bias, rtol=1e-4, atol=1e-4
    )
    stats = new["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.9 * mean + 0.1 * batch_mean, rtol=1e-5)
    unbiased = wide.var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(stats["var"], 0.9 * var + 0.1 * unbiased, rtol=1e-5)

    y = norm.apply(variables, x, train=False)
    expected = (wide - mean) / np.sqrt(var + 1e-3) * scale + bias
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_statistics_survive_a_large_mean():
    """E[x^2] - E[x]^2 in float32 would give a variance of 0 or of hundreds here."""
    x = (noise(64, 8, 8, 2) + 1e4).astype(np.float32)
    norm = BatchNorm(momentum=0.0)
    variables = norm.init(jax.random.key(0), x, train=False)
    _, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    expected = x.astype(np.float64).var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(new["batch_stats"]["var"], expected, rtol=1e-2)


def test_batch_norm_computes_in_float32_and_returns_its_type():
    x = jnp.asarray(noise(2, 4, 4, 3), jnp.bfloat16)
    norm = BatchNorm(dtype=jnp.bfloat16)
    variables = norm.init(jax.random.key(0), x, train=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    y, new = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    assert new["batch_stats"]["mean"].dtype == jnp.float32


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4, 5)])
def test_layer_norm_follows_its_formula(shape):
    x = noise(*shape)
    norm = LayerNorm(epsilon=1e-6)
    variables = {"params": {"scale": noise(5, seed=1), "bias": noise(5, seed=2)}}
    wide = x.astype(np.float64)
    centered = wide - wide.mean(-1, keepdims=True)
    expected = centered / np.sqrt(wide.var(-1, keepdims=True) + 1e-6)
    expected = expected * variables["params"]["scale"] + variables["params"]["bias"]
    np.testing.assert_allclose(norm.apply(variables, x, train=True), expected, rtol=1e-4, atol=1e-4)


def test_group_norm_follows_its_formula():
    x = noise(3, 4, 5, 6)
    variables = {"params": {"scale": noise(6, seed=1), "bias": noise(6, seed=2)}}
    wide = x.astype(np.float64).reshape(3, 4, 5, 2, 3)
    centered = wide - wide.mean((1, 2, 4), keepdims=True)
    expected = (centered / np.sqrt(wide.var((1, 2, 4), keepdims=True) + 1e-5)).reshape(x.shape)
    expected = expected * variables["params"]["scale"] + variables["params"]["bias"]
    y = GroupNorm(2, epsilon=1e-5).apply(variables, x, train=True)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", [LayerNorm(), GroupNorm(2)])
def test_variances_survive_a_large_mean_in_every_type(norm):
    """As Flax computes them by default, E[x^2] - E[x]^2, they would be 0 or hundreds here."""
    x = np.random.default_rng(0).normal(3e3, 1.0, (2, 4, 4, 64)).astype(np.float32)
    variables = norm.init(jax.random.key(0), x, train=False)
    axes = (3,) if isinstance(norm, LayerNorm) else (1, 2, 4)
    grouped = x.astype(np.float64)
    grouped = grouped if len(axes) == 1 else grouped.reshape(2, 4, 4, 2, 32)
    centered = grouped - grouped.mean(axes, keepdims=True)
    expected = (centered / grouped.std(axes, keepdims=True)).reshape(x.shape)
    np.testing.assert_allclose(norm.apply(variables, x, train=False), expected, atol=2e-2)
    half = norm.clone(dtype=jnp.bfloat16)
    y = half.apply(variables, x, train=False)
    assert y.dtype == jnp.bfloat16  # what is returned, not what the statistics are computed in
    np.testing.assert_allclose(np.asarray(y, np.float32), expected, atol=4e-2)
