import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.data.augment import AlternatingFlip, CutMix, HorizontalFlip, MixUp, OneOf
from cnnjax.errors import BadArgument

KEY = jax.random.key(0)
BATCH = 64
# Image i is i everywhere and of class i: what is mixed can be read from either.
IMAGES = jnp.broadcast_to(jnp.arange(BATCH, dtype=jnp.uint8)[:, None, None, None], (BATCH, 8, 8, 1))
TARGETS = jnp.eye(BATCH)


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("kind", [MixUp, CutMix])
def test_targets_are_the_shares_of_the_images(kind, each):
    images, targets = jax.jit(kind(1.0, each))(KEY, IMAGES, TARGETS)
    images, targets = np.asarray(images, np.float64), np.asarray(targets, np.float64)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)
    mean = images.mean((1, 2, 3))
    np.testing.assert_allclose(mean, targets @ np.arange(BATCH), atol=1e-3)
    own = targets[np.arange(BATCH), np.arange(BATCH)]
    mixed = own < 0.999
    assert mixed.any()
    assert (len(np.unique(own[mixed].round(4))) > 1) == each


@pytest.mark.parametrize("each", [False, True])
def test_cutmix_takes_one_rectangle(each):
    images, _ = CutMix(1.0, each)(KEY, IMAGES, TARGETS)
    holes = set()
    for number, image in enumerate(np.asarray(images)[..., 0]):
        hole = image != number
        if hole.any():
            assert len(np.unique(image[hole])) == 1
            rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
            assert hole.sum() == len(rows) * len(columns)
            holes.add((*rows[[0, -1]], *columns[[0, -1]]))
    assert (len(holes) > 1) == each


def test_shares_have_the_beta_distribution_s_variance():
    _, targets = MixUp(0.5, each=True)(
        KEY, jnp.zeros((2000, 1, 1, 1)), jnp.eye(2000, dtype=jnp.float32)
    )
    own = np.diagonal(np.asarray(targets))
    own = own[own < 1]
    assert abs(own.mean() - 0.5) < 0.04
    assert abs(own.var() - 0.125) < 0.01  # 1 / (4 (2 alpha + 1))


def test_one_of_chooses_by_weight_for_the_whole_batch():
    choose = jax.jit(OneOf((MixUp(), CutMix()), (3, 1)))
    blended = 0
    for seed in range(200):
        images, targets = choose(jax.random.key(seed), IMAGES, TARGETS)
        assert images.dtype == targets.dtype == jnp.float32
        whole = np.asarray(images) == np.asarray(images)[:, :1, :1]
        blended += bool(whole.all() and (np.asarray(images) % 1).any())
    assert abs(blended / 200 - 0.75) < 0.15
    assert OneOf((HorizontalFlip(),))(KEY, IMAGES, TARGETS)[0].dtype == jnp.uint8


@pytest.mark.parametrize("weights", [(1,), (0, 1), (1, -1), [1, 1], ("1", 1)])
def test_weights_are_refused(weights):
    with pytest.raises(BadArgument, match=r"weights: received .*allowed"):
        OneOf((MixUp(), CutMix()), weights)


def test_no_choice_takes_a_moment():
    with pytest.raises(BadArgument, match=r"choices: received .*allowed"):
        OneOf((AlternatingFlip(),))
