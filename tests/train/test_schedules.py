"""Every schedule against its formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.train import (
    Constant,
    Cosine,
    Exponential,
    FromOptax,
    OneCycle,
    Polynomial,
    Recipe,
    Steps,
)

SCHEDULES = {
    "cosine": Cosine,
    "onecycle": OneCycle,
    "steps": Steps,
    "constant": Constant,
    "polynomial": Polynomial,
    "exponential": Exponential,
}
SHAPES = {
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "onecycle": lambda progress: 1 - progress,
    "steps": lambda progress: 1 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01,
    "constant": lambda progress: 1,
    "polynomial": lambda progress: (1 - progress) ** 2,
    "exponential": lambda progress: 10 ** (-2 * progress),
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
    schedule = SCHEDULES[name](warmup=warmup)
    found = np.asarray(jax.vmap(lambda i: schedule(i, steps))(jnp.arange(steps)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert (found > 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_lies_behind_the_last_step_is_the_end_of_the_schedule(name):
    found = SCHEDULES[name](warmup=0.2)(jnp.int32(1000), 10)
    np.testing.assert_allclose(found, SHAPES[name](1.0), atol=1e-6)


def test_steps_fall_by_their_factor_at_their_shares():
    schedule = Steps(at=(0.25, 0.5, 0.9), factor=0.5)
    found = [float(schedule(jnp.int32(i), 20)) for i in range(20)]
    assert found == [1.0] * 5 + [0.5] * 5 + [0.25] * 8 + [0.125] * 2


def test_a_schedule_of_optax_s_is_stretched_to_the_run_and_survives_json():
    keywords = {"init_value": 1.0, "end_value": 0.2}
    schedule = FromOptax(optax.linear_schedule, keywords, "transition_steps")
    found = [float(schedule(jnp.int32(i), 8)) for i in range(9)]
    np.testing.assert_allclose(found, np.linspace(1, 0.2, 9), rtol=1e-6)
    recipe = Recipe(schedule=schedule)
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert hash(recipe) == hash(Recipe.from_dict(recipe.to_dict()))
    still = FromOptax(optax.constant_schedule, {"value": 0.5})
    assert float(still(jnp.int32(3), 8)) == 0.5
