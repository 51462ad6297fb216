"""The heads that `experiments/new_head.py` compares are what it says they are."""

import jax
import numpy as np
import pytest


@pytest.fixture(scope="module")
def new_head(experiment):
    return experiment("new_head")


def test_heads_are_at_zero_or_at_the_scale_of_a_linear_layer(new_head):
    zero = new_head.head("zero", None, 400, jax.random.key(0))
    default = new_head.head("default", None, 400, jax.random.key(0))
    for head in (zero, default):
        assert {name: leaf.shape for name, leaf in head.items()} == {
            "kernel": (400, new_head.CLASSES),
            "bias": (new_head.CLASSES,),
        }
        assert not head["bias"].any()
    assert not zero["kernel"].any()
    # Uniform in +-1 / sqrt(features).
    assert 0.049 < np.abs(default["kernel"]).max() <= 0.05
    assert float(default["kernel"].std()) == pytest.approx(0.05 / 3**0.5, rel=0.05)
    other = new_head.head("default", None, 400, jax.random.key(1))
    assert not np.array_equal(other["kernel"], default["kernel"])
