"""Activations against the formulas of their papers, in float64 and with their derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import nn
from cnnjax.errors import BadArgument

each = np.vectorize
_normal = each(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))
_density = lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
_sigmoid = each(lambda x: 1 / (1 + math.exp(-x)))
_cubic = lambda x: math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
_between = lambda x, low, high: np.where((x > low) & (x < high), 1.0, 0.0)

# A formula and its derivative, of Python's `math` and numpy.
FORMULAS = {
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
    "gelu": (lambda x: x * _normal(x), lambda x: _normal(x) + x * _density(x)),
    "gelu_tanh": (
        lambda x: x / 2 * (1 + np.tanh(_cubic(x))),
        lambda x: (
            (1 + np.tanh(_cubic(x))) / 2
            + x / 2 / np.cosh(_cubic(x)) ** 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        ),
    ),
    "hard_sigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, lambda x: _between(x, -3, 3) / 6),
    "hard_swish": (
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        lambda x: np.clip(x + 3, 0, 6) / 6 + x * _between(x, -3, 3) / 6,
    ),
    "identity": (lambda x: x, np.ones_like),
    "leaky_relu": (lambda x: np.where(x > 0, x, x / 100), lambda x: np.where(x > 0, 1, 0.01)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: _between(x, 0, np.inf)),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: _between(x, 0, 6)),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
}
# Near and far on both sides, and beside every kink; none on one, where there are two slopes.
GRID = np.array(
    [s * x for x in (1e-3, 0.2, 0.7, 1.3, 2.9, 3.1, 4.7, 5.9, 6.1, 8.5, 19.0) for s in (-1, 1)]
)


def test_every_activation_has_a_formula():
    assert set(FORMULAS) == set(nn.ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(nn.ACTIVATIONS))
def test_values_and_slopes_are_those_of_the_formula(name):
    act, (formula, slope) = nn.activation(name), FORMULAS[name]
    with jax.enable_x64(True):
        values, slopes = jax.jvp(act, (jnp.asarray(GRID),), (jnp.ones(GRID.shape),))
        # Through a transposition too, as in training.
        gradient = jax.grad(lambda x: act(x).sum())(jnp.asarray(GRID))
    np.testing.assert_allclose(values, formula(GRID), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slopes, slope(GRID), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(nn.ACTIVATIONS))
def test_types_and_shapes_are_kept_and_far_values_are_finite(name):
    act = nn.activation(name)
    for dtype in (jnp.float32, jnp.bfloat16):
        x = jnp.asarray([[-1e4, -90.0, 0.0], [1e-30, 90.0, 1e4]], dtype)
        y, slope = jax.jvp(act, (x,), (jnp.ones_like(x),))
        assert y.dtype == slope.dtype == dtype
        assert y.shape == x.shape
        assert np.isfinite(np.asarray(y, np.float64)).all()
        assert np.isfinite(np.asarray(slope, np.float64)).all()


def test_a_slope_of_ones_own_and_the_gradient_at_zero():
    x = jnp.asarray([-2.0, 3.0])
    np.testing.assert_allclose(nn.leaky_relu(x, 0.25), [-0.5, 3.0])
    assert jax.grad(nn.relu)(0.0) == 0.0


def test_an_unknown_name_is_refused():
    with pytest.raises(BadArgument, match="did you mean 'relu'"):
        nn.activation("rellu")
