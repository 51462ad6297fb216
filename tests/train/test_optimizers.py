"""Every optimizer against its formula, written out in numpy."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.train import LAMB, SAM, SGD, Adam, AdamW, Hyper, Lion, RMSProp
from cnnjax.train.optimizers import everything, kernels

PARAMS = {
    "kernel": np.linspace(-1, 1, 6).reshape(2, 3),
    "bias": np.array([0.5, -0.2, 0.1]),
    "scale": np.array([1.0, 2.0]),
}


def gradients(params):
    return {name: np.sin(3 * p) + 0.1 for name, p in params.items()}


class Numpy:
    """One parameter's optimizer: `update(gradient, parameter)` is what a rate is multiplied by."""

    def __init__(self, name, momentum, decay):
        self.name, self.momentum, self.decay = name, momentum, decay
        self.trace = self.first = self.second = 0.0
        self.steps = 0

    def update(self, g, p):
        self.steps += 1
        return getattr(self, self.name)(g, p)

    def sgd(self, g, p):
        g = g + self.decay * p
        self.trace = self.momentum * self.trace + g
        return g + self.momentum * self.trace

    sam = sgd

    def heavy_ball(self, g, p):
        self.trace = self.momentum * self.trace + g + self.decay * p
        return self.trace

    def moments(self, g, epsilon):
        self.first = self.momentum * self.first + (1 - self.momentum) * g
        self.second = 0.999 * self.second + 0.001 * g**2
        mean = self.first / (1 - self.momentum**self.steps)
        return mean / (np.sqrt(self.second / (1 - 0.999**self.steps)) + epsilon)

    def adam(self, g, p):
        return self.moments(g + self.decay * p, 1e-8)

    def adamw(self, g, p):
        return self.moments(g, 1e-8) + self.decay * p

    def lamb(self, g, p):
        update = self.moments(g, 1e-6) + self.decay * p
        return update * np.linalg.norm(p) / np.linalg.norm(update)

    def lion(self, g, p):
        update = np.sign(self.momentum * self.first + (1 - self.momentum) * g) + self.decay * p
        self.first = 0.99 * self.first + 0.01 * g
        return update

    def rmsprop(self, g, p):
        g = g + self.decay * p
        self.second = 0.9 * self.second + 0.1 * g**2
        self.trace = self.momentum * self.trace + g / np.sqrt(self.second + 1e-3)
        return self.trace


OPTIMIZERS = {
    "sgd": SGD,
    "heavy_ball": functools.partial(SGD, nesterov=False),
    "adam": Adam,
    "adamw": AdamW,
    "lamb": LAMB,
    "lion": Lion,
    "rmsprop": RMSProp,
    "sam": SAM,
}


@pytest.mark.parametrize("mask", [kernels, everything])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_with_traced_scalars_equal_numpy_over_five_steps(name, mask):
    rate, momentum, decay = 0.1, 0.8, 0.05
    kind = OPTIMIZERS[name]
    # Given a gradient, it is its base.
    value = SAM(SGD(decay=mask)) if kind is SAM else kind(decay=mask)

    @jax.jit
    def step(params, gradient, state, rate, hyper):
        updates, state = value(rate, hyper).update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.float32, PARAMS)
    hyper = Hyper(learning_rate=9.0, momentum=momentum, weight_decay=decay)
    state = value(jnp.float32(rate), hyper).init(params)
    expected = dict(PARAMS)
    numpys = {
        n: Numpy(name, momentum, decay * (p.ndim > 1 or mask is everything))
        for n, p in PARAMS.items()
    }
    for number in range(5):
        gradient = gradients(expected)
        given = jax.tree.map(jnp.float32, gradient)
        now = rate / (1 + number)  # a schedule's
        params, state = step(params, given, state, now, jax.tree.map(jnp.float32, hyper))
        expected = {n: p - now * numpys[n].update(gradient[n], p) for n, p in expected.items()}
    for leaf in expected:
        np.testing.assert_allclose(params[leaf], expected[leaf], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping_bounds_the_norm_of_all_gradients_before_decay_and_momentum(largest):
    """A gradient whose norm is larger is scaled to it, one whose norm is smaller is left alone."""
    gradient = gradients(PARAMS)
    norm = math.sqrt(sum((g**2).sum() for g in gradient.values()))
    assert 0.5 < norm < 100
    optimizer = SGD(nesterov=False, clip_norm=largest)
    transform = optimizer(jnp.float32(1.0), Hyper(momentum=0.0, weight_decay=0.3))
    params = jax.tree.map(jnp.float32, PARAMS)
    updates, _ = transform.update(
        jax.tree.map(jnp.float32, gradient), transform.init(params), params
    )
    for name, g in gradient.items():
        expected = g * min(1.0, largest / norm) + (0.3 * PARAMS[name] if g.ndim > 1 else 0)
        np.testing.assert_allclose(updates[name], -expected, rtol=1e-5)
