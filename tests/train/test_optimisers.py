import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.train.optimisers import OPTIMISERS, SCHEDULES, learning_rate_factor, optimiser

PARAMS = {"kernel": jnp.linspace(-1, 1, 6).reshape(2, 3), "bias": jnp.ones(3)}
REFERENCES = {
    "sgd": lambda m, d: optax.chain(
        optax.add_decayed_weights(d), optax.sgd(0.1, momentum=m, nesterov=True)
    ),
    "heavy_ball": lambda m, d: optax.chain(
        optax.add_decayed_weights(d), optax.sgd(0.1, momentum=m)
    ),
    "adam": lambda m, d: optax.chain(optax.add_decayed_weights(d), optax.adam(0.1, b1=m)),
    "adamw": lambda m, d: optax.adamw(0.1, b1=m, weight_decay=d),
    "lamb": lambda m, d: optax.lamb(0.1, b1=m, weight_decay=d),
    "lion": lambda m, d: optax.lion(0.1, b1=m, weight_decay=d),
    "rmsprop": lambda m, d: optax.chain(
        optax.add_decayed_weights(d), optax.rmsprop(0.1, decay=0.9, eps=1e-3, momentum=m)
    ),
}


def gradients(params):
    return jax.tree.map(lambda p: jnp.sin(3 * p) + 0.1, params)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_with_traced_scalars_equal_the_whole_ones_of_optax(name):
    expected, reference = PARAMS, REFERENCES[name](0.8, 0.01)
    reference_state = reference.init(PARAMS)

    @jax.jit
    def step(params, state, momentum, decay):
        transform = optimiser(name, momentum, decay, decay_all=True)
        updates, state = transform.update(gradients(params), state, params)
        return jax.tree.map(lambda p, u: p - 0.1 * u, params, updates), state

    params, state = PARAMS, optimiser(name, 0.8, 0.01, decay_all=True).init(PARAMS)
    for _ in range(4):
        params, state = step(params, state, 0.8, 0.01)
        updates, reference_state = reference.update(gradients(expected), reference_state, expected)
        expected = optax.apply_updates(expected, updates)
    for name, leaf in expected.items():
        np.testing.assert_allclose(params[name], leaf, rtol=1e-4, atol=1e-6)


def test_weight_decay_spares_biases_and_norms_unless_told():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    for decay_all in (False, True):
        transform = optimiser("sgd", 0.0, 0.5, decay_all=decay_all)
        updates, _ = transform.update(zero, transform.init(PARAMS), PARAMS)
        np.testing.assert_allclose(updates["kernel"], 0.5 * PARAMS["kernel"])
        np.testing.assert_allclose(updates["bias"], 0.5 * decay_all)


def test_clipping_bounds_the_global_norm():
    transform = optimiser("heavy_ball", 0.0, 0.0, clip_norm=0.5)
    updates, _ = transform.update(gradients(PARAMS), transform.init(PARAMS), PARAMS)
    np.testing.assert_allclose(optax.tree.norm(updates), 0.5, rtol=1e-5)


@pytest.mark.parametrize("warmup", [0.0, 0.3])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_rise_to_one_and_stay_positive(name, warmup):
    factors = np.asarray(
        jax.vmap(lambda i: learning_rate_factor(name, i, steps=40, warmup=warmup))(jnp.arange(40))
    )
    rising = round(40 * warmup)
    assert (factors > 0).all()
    np.testing.assert_allclose(factors.max(), 1.0, rtol=1e-6)
    assert (np.diff(factors[:rising]) > 0).all()
    assert (np.diff(factors[rising:]) <= 1e-7).all()
    if name != "constant":
        assert factors[-1] < 0.05


def test_cosine_equals_optax():
    ours = jax.vmap(lambda i: learning_rate_factor("cosine", i, steps=30, warmup=0.0))
    theirs = jax.vmap(optax.schedules.cosine_decay_schedule(1.0, 30))
    np.testing.assert_allclose(ours(jnp.arange(30)), theirs(jnp.arange(30)), atol=1e-6)
