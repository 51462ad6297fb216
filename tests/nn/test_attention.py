"""Channel attention: every module against its formula in numpy, all called in one way."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax import nn

X = np.random.default_rng(0).normal(size=(3, 8, 8, 16)).astype(np.float32)
MEANS = X.mean((1, 2))

sigmoid = lambda x: 1 / (1 + np.exp(-x))


def squeeze_excite(p):
    hidden = np.maximum(MEANS @ p["fc1"]["kernel"][0, 0] + p["fc1"]["bias"], 0)
    gate = sigmoid(hidden @ p["fc2"]["kernel"][0, 0] + p["fc2"]["bias"])
    return X * gate[:, None, None, :]


def effective(p):
    gate = np.clip(MEANS @ p["fc"]["kernel"][0, 0] + p["fc"]["bias"] + 3, 0, 6) / 6
    return X * gate[:, None, None, :]


def efficient(p):
    (left, middle, right) = p["conv"]["kernel"][:, 0, 0]
    padded = np.pad(MEANS, ((0, 0), (1, 1)))
    scale = left * padded[:, :-2] + middle * padded[:, 1:-1] + right * padded[:, 2:]
    return X * sigmoid(scale)[:, None, None, :]


def global_context(p):
    weights = np.exp(X @ p["conv_attn"]["kernel"][0, 0] + p["conv_attn"]["bias"])
    context = (weights * X).sum((1, 2)) / weights.sum((1, 2))
    hidden = context @ p["mlp_add.fc1"]["kernel"][0, 0] + p["mlp_add.fc1"]["bias"]
    centered = hidden - hidden.mean(-1, keepdims=True)
    hidden = centered / np.sqrt(hidden.var(-1, keepdims=True) + 1e-6)
    hidden = np.maximum(hidden * p["mlp_add.norm"]["scale"] + p["mlp_add.norm"]["bias"], 0)
    term = hidden @ p["mlp_add.fc2"]["kernel"][0, 0] + p["mlp_add.fc2"]["bias"]
    return X + term[:, None, None, :]


ATTENTION = {
    "squeeze_excite": (partial(nn.SqueezeExcite, 4), squeeze_excite),
    "squeeze_excite_of_a_share": (
        partial(nn.SqueezeExcite, lambda channels: channels // 4),
        squeeze_excite,
    ),
    "effective": (nn.EffectiveSqueezeExcite, effective),
    "efficient": (nn.EfficientChannelAttention, efficient),
    "global_context": (nn.GlobalContext, global_context),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_follows_its_formula(name):
    make, formula = ATTENTION[name]
    module = make(dtype=jnp.float32, name="attention")
    abstract = jax.eval_shape(lambda: module.init(jax.random.key(0), X, train=False))
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), abstract)
    for train in (False, True):
        y = module.apply(params, X, train=train)
        np.testing.assert_allclose(y, formula(params["params"]), rtol=1e-4, atol=1e-4)


def test_a_share_is_that_of_the_channels():
    module = nn.SqueezeExcite(lambda channels: channels // 8)
    variables = module.init(jax.random.key(0), X, train=False)
    assert variables["params"]["fc1"]["kernel"].shape == (1, 1, 16, 2)
