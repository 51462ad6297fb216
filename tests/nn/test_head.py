"""The end of a network against numpy."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

from cnnjax import nn

X = np.random.default_rng(0).normal(size=(4, 3, 5, 6)).astype(np.float32)


class End(flax.linen.Module):
    pointwise: bool = False
    dropout_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @flax.linen.compact
    def __call__(self, x, *, train):
        return nn.classify(
            x,
            7,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=nn.uniform,
            bias_init=nn.uniform_bias,
            pointwise=self.pointwise,
        )


def test_logits_are_linear_in_the_mean_over_positions():
    for pointwise, shape in ((False, (6, 7)), (True, (1, 1, 6, 7))):
        for x in (X, X.mean((1, 2))):
            end = End(pointwise)
            (logits, pre_logits), variables = end.init_with_output(
                jax.random.key(0), x, train=False
            )
            assert set(variables["params"]) == {"fc"}
            weights = jax.tree.map(np.asarray, variables["params"]["fc"])
            assert weights["kernel"].shape == shape
            np.testing.assert_allclose(pre_logits, X.mean((1, 2)), rtol=1e-5, atol=1e-6)
            expected = X.mean((1, 2)) @ weights["kernel"].reshape(6, 7) + weights["bias"]
            np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
            # PyTorch's bound, of six inputs.
            assert 0 < abs(weights["bias"]).max() <= 6**-0.5


def test_dropout_is_behind_pre_logits_and_in_training_alone():
    end = End(dropout_rate=0.5)
    variables = end.init(jax.random.key(0), X, train=False)
    evaluated, _ = end.apply(variables, X, train=False)
    trained, pre_logits = end.apply(variables, X, train=True, rngs={"dropout": jax.random.key(1)})
    np.testing.assert_allclose(pre_logits, X.mean((1, 2)), rtol=1e-5, atol=1e-6)
    assert not np.allclose(trained, evaluated, rtol=1e-2)


def test_logits_are_float32_at_least():
    variables = End().init(jax.random.key(0), X, train=False)
    logits, pre_logits = End(dtype=jnp.bfloat16).apply(
        variables, X.astype(jnp.bfloat16), train=False
    )
    assert (logits.dtype, pre_logits.dtype) == (jnp.float32, jnp.bfloat16)
    with jax.enable_x64(True):
        logits, pre_logits = End(dtype=jnp.float64).apply(
            variables, X.astype(np.float64), train=False
        )
        assert (logits.dtype, pre_logits.dtype) == (jnp.float64, jnp.float64)
