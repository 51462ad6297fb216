"""Arrays as a data set: labels as integers or names, and what is odd about them."""

import warnings

import numpy as np
import pytest

from cnnjax.data import from_arrays
from cnnjax.errors import BadArgument

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("labels", "names", "expected", "classes"),
    [
        ([0, 1, 1, 0, 2, 2], None, [0, 1, 1, 0, 2, 2], ("0", "1", "2")),
        (np.uint8([0, 1, 1, 0, 1, 1]), ("a", "b"), [0, 1, 1, 0, 1, 1], ("a", "b")),
        (["b", "a10", "a9"] * 2, None, [2, 1, 0] * 2, ("a9", "a10", "b")),
        (["b", "a", "a"] * 2, ("b", "a"), [0, 1, 1] * 2, ("b", "a")),
        (np.array(["x", "y"] * 3, object), None, [0, 1] * 3, ("x", "y")),
    ],
)
def test_labels_are_integers_or_names(labels, names, expected, classes):
    dataset = from_arrays(IMAGES, labels, names)
    assert dataset.labels.tolist() == expected
    assert (dataset.class_names, dataset.name, dataset.split) == (classes, "arrays", "train")
    np.testing.assert_array_equal(dataset.images, IMAGES)


def test_what_is_odd_is_warned_of():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        from_arrays(IMAGES, [0, 0, 1, 1, 1, 3], ("a", "b", "c", "d"))
    assert [str(each.message) for each in seen] == [
        "arrays: 1 of 4 classes have no image: c",
        "arrays: 1 of 4 classes have a single image: d",
    ]
    twice = IMAGES[[0, 1, 2, 0, 1, 1]]
    with pytest.warns(UserWarning, match="2 images are in two classes, by their indices: 1 = 4, 1"):
        from_arrays(twice, [0, 0, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("images", "labels", "names", "words"),
    [
        (IMAGES, [0, 1, 2, 0, 1, 5], ("a", "b"), "2 of 6 are outside the classes 0..1; the first"),
        (IMAGES, [0, 1, -1, 0, 1, 1], None, "1 of 6 are outside the classes 0..1"),
        (IMAGES, [0, 1], None, "expected int32|labels"),
        (IMAGES, [0.5] * 6, None, "expected int32"),
        (IMAGES, ["a", "b", "c"] * 2, ("a", "b"), "labels: c; allowed: a, b"),
        (IMAGES, ["a", "b"], None, r"expected int32 \[6\], received int32 \[2\]"),
        (IMAGES / 255, [0, 1] * 3, None, "floats in 0..1 become that"),
        (IMAGES[..., 0], [0, 1] * 3, None, r"grey images get their one channel"),
        (IMAGES, [], None, "expected"),
        (IMAGES, 3, None, "expected"),
        (IMAGES, [[0, 1], [2]], None, r"expected \[N\] integers or names"),
        (IMAGES, [0, 1] * 3, "ab", "expected a sequence of names"),
        (IMAGES, np.eye(6, dtype=int), None, r"labels.argmax\(1\)"),
    ],
)
def test_bad_arrays(images, labels, names, words):
    with pytest.raises(BadArgument, match=words):
        from_arrays(images, labels, names)
