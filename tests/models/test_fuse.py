"""The deployed form of a network with parallel branches computes what the training form does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import ops
from cnnjax.errors import BadArgument
from cnnjax.models import build
from tests.models.small import GHOSTS

# Grouped and dense 3x3, depthwise, 1x1; one branch and several; with squeeze-excite and without.
TINY = {
    "repvgg_b1g4": {"depths": (2, 1, 1, 1), "widths": (16, 16, 16, 16)},
    "mobileone_s0": {"depths": (2, 1, 1, 1), "widths": (16, 16, 16, 16), "stem_width": 8},
    "mobileone_s4": {
        "depths": (1, 1, 1, 1),
        "widths": (16, 16, 16, 16),
        "stem_width": 16,
        "attentions": (0, 0, 1, 0),
    },
    "ghostnetv3_050": {"groups": GHOSTS},
    "repghostnet_050": {"groups": GHOSTS},
    "lcnetv2_small": {"depths": (1, 1, 2, 2), "width_mult": 0.25},
    # Both kinds of token mixer.
    "repvit_m0_9": {"depths": (2, 1, 1, 1), "widths": (16, 16, 16, 16)},
    "repvit_m1": {"depths": (1, 1, 1, 1), "widths": (16, 16, 16, 16)},
}


@pytest.mark.parametrize("name", TINY)
def test_deployed_form_gives_the_logits_of_the_training_form(name):
    model = build(name, num_classes=7, **TINY[name])
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((2, 34, 34, 3)), jnp.float32)

    def draw(leaf):
        # Around one: variances stay positive, and no mean, scale or bias is trivial.
        noise = rng.uniform(-0.3, 0.3, leaf.shape) + (1 if leaf.ndim == 1 else 0)
        return jnp.asarray(noise, jnp.float32)

    with ops.stock():
        abstract = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
        variables = jax.tree.map(draw, abstract)
        deployed, fused = cnnjax.fuse(model, variables)
        assert deployed == build(name, num_classes=7, deployed=True, **TINY[name])
        expected = jax.eval_shape(lambda: deployed.init(jax.random.key(0), images, train=False))
        assert jax.tree.map(jnp.shape, fused) == jax.tree.map(lambda leaf: leaf.shape, expected)

        logits = jax.jit(lambda v: model.apply(v, images, train=False))(variables)
        same = jax.jit(lambda v: deployed.apply(v, images, train=False))(fused)
    assert np.std(np.asarray(logits), axis=0).max() > 0.0
    np.testing.assert_allclose(same, logits, rtol=1e-3, atol=1e-4 * np.abs(logits).max())


def test_what_has_no_branches_is_refused():
    for name, overrides, wanted in (
        ("lenet5", {}, "model is a LeNet; it must have parallel branches"),
        ("repvgg_a0", {"deployed": True}, "model is a RepVGG that is deployed; it must not be"),
    ):
        with pytest.raises(BadArgument, match=wanted):
            cnnjax.fuse(build(name, **overrides), {"params": {}, "batch_stats": {}})
