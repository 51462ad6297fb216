"""The auxiliary heads of GoogLeNet and Inception v3: there only where they are asked for."""

import jax
import jax.numpy as jnp
import pytest

from cnnjax.errors import BadArgument
from cnnjax.models import build, facts_of


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def abstract(name, train):
    model, size = build(name, aux_heads=True), facts_of(name).input_size
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)

    def apply(variables, images):
        return model.apply(
            variables,
            images,
            train=train,
            features=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )[0]

    return variables, *jax.eval_shape(apply, variables, images)


# With the heads, torchvision's published counts.
@pytest.mark.parametrize(
    ("name", "heads", "parameters", "statistics"),
    [
        ("googlenet", {"aux1", "aux2"}, 13_004_888, 15_072),
        ("inception_v3", {"aux1"}, 27_161_264, 36_224),
    ],
)
def test_heads_are_initialized_always_and_run_in_training(name, heads, parameters, statistics):
    variables, logits, stages = abstract(name, train=True)
    assert count(variables["params"]) == parameters
    assert count(variables["batch_stats"]) == statistics
    assert {stage for stage in stages if stage.startswith("aux")} == heads
    assert all(stages[head].shape == logits.shape == (2, 1000) for head in heads)
    assert not heads & set(abstract(name, train=False)[2])


def test_inception_needs_large_images_for_its_head():
    with pytest.raises(BadArgument, match="299"):
        jax.eval_shape(
            lambda x: build("inception_v3", aux_heads=True).init(jax.random.key(0), x, train=False),
            jnp.zeros((1, 96, 96, 3)),
        )
