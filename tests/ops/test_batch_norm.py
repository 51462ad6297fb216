"""`batch_norm` is the formula, in value and derivatives, also where the cheap sums lose digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import ops
from cnnjax.ops.batch_norm import batch_norm


def arrays(mean=0.5, shape=(4, 5, 6, 3)):
    random = np.random.default_rng(0)
    x, g = random.standard_normal((2, *shape)).astype("f")
    scale, bias = random.standard_normal((2, shape[-1])).astype("f")
    return (jnp.asarray(x + np.float32(mean)), jnp.asarray(scale), jnp.asarray(bias)), jnp.asarray(
        g
    )


def plain(x, scale, bias):
    mean = x.mean((0, 1, 2), keepdims=True)
    var = ((x - mean) ** 2).mean((0, 1, 2), keepdims=True)
    rows = [a.reshape(1, 1, 1, -1) for a in (scale, bias)]
    return (x - mean) / jnp.sqrt(var + 1e-5) * rows[0] + rows[1]


def ours(x, scale, bias):
    return batch_norm(x, scale, bias, epsilon=1e-5)[0]


def assert_close(got, wanted, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)


def test_value_gradients_and_second_order():
    primals, g = arrays()
    assert_close(ours(*primals), plain(*primals))
    gradient = lambda f: jax.grad(lambda *p: (f(*p) * g).sum(), (0, 1, 2))
    assert_close(gradient(ours)(*primals), gradient(plain)(*primals))
    tangents = (g, primals[1] * 2, primals[2] * 3)
    for f in (lambda f: f, gradient):
        assert_close(
            jax.jvp(f(ours), primals, tangents), jax.jvp(f(plain), primals, tangents), 1e-4
        )


@pytest.mark.parametrize("mean", [0.0, 3.0, 30.0, 3000.0])
def test_statistics_keep_their_digits(mean):
    (x, scale, bias), _ = arrays(mean)
    _, got_mean, got_var = batch_norm(x, scale, bias, epsilon=1e-5)
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(got_mean, exact.mean((0, 1, 2)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(got_var, exact.var((0, 1, 2)), rtol=3e-5)


def test_statistics_have_derivatives():
    primals, g = arrays()
    statistics = lambda x: jnp.stack(batch_norm(x, *primals[1:], epsilon=1e-5)[1:])
    formula = lambda x: jnp.stack([x.mean((0, 1, 2)), x.var((0, 1, 2))])
    assert_close(jax.jvp(statistics, primals[:1], (g,)), jax.jvp(formula, primals[:1], (g,)), 1e-5)


def test_stock_vmap_and_bfloat16():
    (x, scale, bias), _ = arrays()
    with ops.stock():
        stock = ours(x, scale, bias)
    assert_close(ours(x, scale, bias), stock)
    scales = jnp.stack([scale, 2 * scale])
    assert_close(jax.vmap(ours, (None, 0, None))(x, scales, bias)[1], ours(x, scales[1], bias))
    half = ours(x.astype(jnp.bfloat16), scale, bias)
    assert half.dtype == jnp.bfloat16
    assert_close(half, stock, 1e-2)


def test_stock_takes_two_passes_and_ours_chooses():
    """What is measured as stock is the formula as it stands: no condition, no platform's form."""
    primals, _ = arrays()
    usual = str(jax.make_jaxpr(ours)(*primals))
    with ops.stock():
        stock = str(jax.make_jaxpr(lambda *a: ours(*a))(*primals))
    assert "cond[" in usual
    assert "platform_index" in usual
    assert "cond[" not in stock
    assert "platform_index" not in stock
