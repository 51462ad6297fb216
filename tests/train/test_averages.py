"""Averages of weights against their formulas, step by step in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.train import SWA, Constant, Hyper, Lookahead, Recipe, fit
from tests.train.toy import Linear, toy_set

VALUES = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)


def averages(value, steps=12):
    average = {"params": {"w": jnp.zeros(3)}}
    found = []
    call = jax.jit(lambda average, variables, step: value(average, variables, step, steps))
    for step in range(steps):
        average = call(average, {"params": {"w": jnp.asarray(VALUES[step])}}, jnp.int32(step))
        found.append(np.asarray(average["params"]["w"]))
    return found


@pytest.mark.parametrize(("start", "every"), [(0.5, 1), (0.5, 2), (0.0, 5), (0.9, 3)])
def test_swa_is_the_mean_of_the_weights_since_its_start(start, every):
    first = round(12 * start)
    for step, found in enumerate(averages(SWA(start, every))):
        expected = VALUES[first : step + 1 : every].mean(axis=0) if step >= first else VALUES[step]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("power", [0.0, 3.0])
def test_lookahead_moves_slow_weights_and_puts_them_in_place_of_the_fast_ones(power):
    """A run with it in numpy: the gradient of a square, plain descent."""
    value = Lookahead(every=3, pace=0.25, power=power)
    slow = fast = np.array([1.0, -2.0])
    state = {"params": jnp.asarray(slow)}, {"params": jnp.asarray(fast)}
    for step in range(8):
        moved = fast - 0.1 * 2 * fast
        found = {"params": 0.8 * state[1]["params"]}
        average = value(state[0], found, jnp.int32(step), 8)
        state = average, value.resumed(average, found, jnp.int32(step))
        fast = moved
        if (step + 1) % 3 == 0:
            pace = 1 - 0.75 * ((step + 1) / 8) ** power
            slow = fast = slow + pace * (fast - slow)
        np.testing.assert_allclose(state[0]["params"], slow, rtol=1e-5)
        np.testing.assert_allclose(state[1]["params"], fast, rtol=1e-5)


def test_a_run_goes_on_from_the_slow_weights():
    """After a move the weights are the average, and not those of a run without it."""
    hyper, key = Hyper(learning_rate=0.1), jax.random.key(0)
    plain, moved = (
        fit(
            Linear(),
            toy_set(20, "train"),
            None,
            Recipe(epochs=3, batch_size=10, schedule=Constant(), average=average),
            hyper,
            key,
        )
        for average in (None, Lookahead(2))
    )
    jax.tree.map(np.testing.assert_array_equal, moved.state.params, moved.state.average["params"])
    one, other = (run.variables["params"]["head"]["kernel"] for run in (plain, moved))
    assert np.abs(one - other).max() > 1e-3
