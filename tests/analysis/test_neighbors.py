import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cnnjax.analysis.neighbors import few_per_class, nearest_neighbors
from cnnjax.errors import BadArgument

RNG = np.random.default_rng(0)
FEATURES, QUERIES = RNG.normal(size=(60, 5)), RNG.normal(size=(1500, 5))
LABELS = RNG.integers(0, 4, 60)


@pytest.mark.parametrize("k", [1, 4, 60])
def test_the_class_of_most_near_images_wins(k):
    found = nearest_neighbors(FEATURES, LABELS, QUERIES, classes=4, k=k)
    distance = cdist(QUERIES, FEATURES, "cosine")
    for row, answer in zip(distance, found, strict=True):
        nearest = np.argsort(row)[:k]
        votes = np.bincount(LABELS[nearest], minlength=4)
        assert votes[answer] == votes.max()
        tied = np.flatnonzero(votes == votes.max())
        sums = [(1 - row[nearest])[LABELS[nearest] == each].sum() for each in tied]
        assert answer == tied[int(np.argmax(sums))]


def test_length_does_not_matter():
    scaled = FEATURES * RNG.uniform(0.1, 9, (60, 1))
    one, other = (nearest_neighbors(f, LABELS, QUERIES, classes=4) for f in (FEATURES, scaled))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 0}, "k: received 0, allowed: integers from 1 to 60"),
        ({"k": 61}, "k: received 61"),
        ({"queries": QUERIES[:, :4]}, r"queries: \[1500, 4\] beside features \[60, 5\]"),
        ({"labels": LABELS[:3]}, r"labels: \[3\], allowed: \[60\]"),
    ],
)
def test_what_fits_nothing_is_refused(changes, words):
    given = {"features": FEATURES, "labels": LABELS, "queries": QUERIES, **changes}
    with pytest.raises(BadArgument, match=words):
        nearest_neighbors(**{"classes": 4, **given})


def test_a_few_of_each_class():
    chosen = few_per_class(LABELS, 3, 0)
    np.testing.assert_array_equal(np.bincount(LABELS[chosen]), [3, 3, 3, 3])
    assert len(set(chosen)) == 12
    np.testing.assert_array_equal(chosen, few_per_class(LABELS, 3, 0))
    drawn = {tuple(few_per_class(LABELS, 3, seed)) for seed in range(20)}
    assert len(drawn) > 15
    with pytest.raises(BadArgument, match="number: received 40"):
        few_per_class(LABELS, 40, 0)
