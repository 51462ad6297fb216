"""Every optimiser and schedule against its formula, written out in numpy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.train.optimisers import OPTIMISERS, SCHEDULES, learning_rate_factor, optimiser

PARAMS = {
    "kernel": np.linspace(-1, 1, 6).reshape(2, 3),
    "bias": np.array([0.5, -0.2, 0.1]),
    "scale": np.array([1.0, 2.0]),
}


def gradients(params):
    return {name: np.sin(3 * p) + 0.1 for name, p in params.items()}


class Numpy:
    """One parameter's optimiser: `update(gradient, parameter)` is what a rate is multiplied by."""

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


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_with_traced_scalars_equal_numpy_over_five_steps(name, decay_all):
    momentum, decay, rate = 0.8, 0.05, 0.1

    @jax.jit
    def step(params, gradient, state, momentum, decay):
        transform = optimiser(name, momentum, decay, decay_all=decay_all)
        updates, state = transform.update(gradient, state, params)
        return jax.tree.map(lambda p, u: p - rate * u, params, updates), state

    params = jax.tree.map(jnp.float32, PARAMS)
    state = optimiser(name, momentum, decay, decay_all=decay_all).init(params)
    expected = dict(PARAMS)
    numpys = {
        n: Numpy(name, momentum, decay * (p.ndim > 1 or decay_all)) for n, p in PARAMS.items()
    }
    for _ in range(5):
        gradient = gradients(expected)
        given = jax.tree.map(jnp.float32, gradient)
        params, state = step(params, given, state, momentum, decay)
        expected = {n: p - rate * numpys[n].update(gradient[n], p) for n, p in expected.items()}
    for leaf in expected:
        np.testing.assert_allclose(params[leaf], expected[leaf], rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping_bounds_the_norm_of_all_gradients_before_decay_and_momentum(largest):
    """A gradient whose norm is larger is scaled to it, one whose norm is smaller is left alone."""
    gradient = gradients(PARAMS)
    norm = math.sqrt(sum((g**2).sum() for g in gradient.values()))
    assert 0.5 < norm < 100
    transform = optimiser("heavy_ball", 0.0, 0.3, clip_norm=largest)
    params = jax.tree.map(jnp.float32, PARAMS)
    updates, _ = transform.update(
        jax.tree.map(jnp.float32, gradient), transform.init(params), params
    )
    for name, g in gradient.items():
        expected = g * min(1.0, largest / norm) + (0.3 * PARAMS[name] if g.ndim > 1 else 0)
        np.testing.assert_allclose(updates[name], expected, rtol=1e-5)


SHAPES = {
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "onecycle": lambda progress: 1 - progress,
    "step": lambda progress: 1 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01,
    "constant": lambda progress: 1,
}


# 0.5, 2.5 and 3.5 steps of warm-up round to 0, 2 and 4; a run of a single step is at its peak.
@pytest.mark.parametrize(
    ("steps", "warmup"),
    [(40, 0.0), (40, 0.3), (10, 0.25), (14, 0.25), (10, 0.05), (1, 0.9), (7, 0)],
)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_equal_their_formula_at_every_step(name, steps, warmup):
    rising = round(steps * warmup)
    expected = [
        (i + 1) / rising if i < rising else SHAPES[name]((i - rising) / (steps - rising))
        for i in range(steps)
    ]
    factor = jax.vmap(lambda i: learning_rate_factor(name, i, steps=steps, warmup=warmup))
    found = np.asarray(factor(jnp.arange(steps)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert (found > 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_lies_behind_the_last_step_is_the_end_of_the_schedule(name):
    found = learning_rate_factor(name, jnp.int32(1000), steps=10, warmup=0.2)
    np.testing.assert_allclose(found, SHAPES[name](1.0), atol=1e-6)
