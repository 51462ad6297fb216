import itertools

import jax
import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.train import key_of
from cnnjax.train.keys import named_key


def data(key):
    return tuple(jax.random.key_data(key).tolist())


def test_a_seed_gives_jax_s_key_of_it_and_another_another():
    seeds = (0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1)
    for seed in seeds:
        assert data(key_of(seed)) == data(jax.random.key(seed))
        assert data(key_of(np.uint32(seed))) == data(key_of(seed))
    assert len({data(key_of(seed)) for seed in seeds}) == len(seeds)


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64, True, False, 1.0, "1", None, np.array([1, 2])])
def test_what_would_be_another_s_key_or_none_is_refused(seed):
    with pytest.raises(BadArgument, match=r"^seed: received .*allowed: integers in 0..4294967295"):
        key_of(seed)
    with pytest.raises(BadArgument, match=r"^seeds: received"):
        key_of(seed, "seeds")


def test_the_keys_of_all_uses_and_runs_differ():
    uses = ("init", "order", "augment", "dropout")
    keys = [named_key(key_of(seed), use) for seed, use in itertools.product((0, 1), uses)]
    assert len({data(key) for key in keys}) == 8
    assert data(named_key(key_of(3), "order")) == data(named_key(key_of(3), "order"))
