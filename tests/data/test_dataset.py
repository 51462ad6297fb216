import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.data import Dataset, split_off, statistics
from cnnjax.data.stratified import allocate
from cnnjax.errors import BadArgument


def make(number=100, classes=4, channels=3, seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "name": "made",
        "split": "train",
        "images": rng.integers(0, 256, (number, 6, 5, channels), np.uint8),
        "labels": rng.integers(0, classes, number).astype(np.int32),
        "class_names": tuple(f"class {index}" for index in range(classes)),
    }
    return Dataset(**{**fields, **changes})


SOME = np.random.default_rng(1).integers(0, 256, (100, 6, 5, 3), np.uint8)
LABELS = np.arange(100) % 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": SOME / np.float32(255)}, r"expected uint8.*received float32; floats in 0\.\.1"),
        ({"images": SOME > 3}, "expected uint8.*received bool$"),
        ({"images": SOME[..., 0]}, r"received uint8 \[100, 6, 5\]; grey.*\[\.\.\., None\]"),
        ({"images": SOME.ravel()}, r"received uint8 \[9000\]$"),
        ({"images": SOME[:0], "labels": LABELS[:0]}, r"\[0, 6, 5, 3\]: empty$"),
        ({"images": SOME.astype(int) + 1}, r"expected values in 0\.\.255, received 1\.\.256"),
        ({"images": SOME.astype(int) - 1}, r"expected values in 0\.\.255, received -1\.\.254"),
        (
            {"images": [*SOME[:99], SOME[0, 1:]]},
            r"\(6, 5, 3\) at index 0 and \(5, 5, 3\) at .* 99;",
        ),
        ({"images": [*SOME[:50], SOME[0, :, :, :1]]}, r"index 0 and \(6, 5, 1\) at index 50;"),
        ({"images": np.array([None] * 100)}, "no arrays of numbers"),
        ({"images": SOME[:99]}, r"expected int32 \[99\], received int64 \[100\]"),
        ({"labels": LABELS[:, None]}, r"received \[100, 1\]; take labels\[:, 0\]"),
        ({"labels": np.eye(4)[LABELS]}, r"received \[100, 4\].*labels\.argmax\(1\)"),
        ({"labels": LABELS.astype(float)}, "received float64"),
        ({"labels": LABELS > 1}, "received bool"),
        ({"labels": ["a"] * 100}, "received <U1"),
        ({"labels": [[0], [0, 1]]}, r"expected integers \[100\]"),
        ({"labels": [2**70] * 100}, "received object"),
        (
            {"labels": np.full(100, 4)},
            r"100 of 100 are outside the classes 0\.\.3;.*is 4 at index 0",
        ),
        ({"labels": np.where(LABELS == 3, -1, LABELS)}, "25 of 100 .*first is -1 at index 3"),
        ({"labels": LABELS + 2**32}, "100 of 100 .*first is 4294967296 at index 0"),
        ({"class_names": "abcd"}, "class_names of .*expected a sequence of names, received 'abcd'"),
        ({"class_names": ["a", "b", "c", 4]}, "class_names of .*expected a sequence of names"),
        ({"class_names": 4}, "class_names of .*received 4"),
        ({"class_names": range(4)}, r"class_names of .*received range\(0, 4\)"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused(changes, words):
    with pytest.raises(BadArgument, match=words) as error:
        make(**{"images": SOME, "labels": LABELS, **changes})
    assert "'made', split 'train'" in str(error.value)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", ">i4", "i8", "u8", list])
def test_labels_and_images_of_any_integers_become_what_is_kept(kind):
    labels = LABELS.tolist() if kind is list else LABELS.astype(kind)
    images = SOME.tolist() if kind is list else SOME.astype("u1" if kind == "i1" else kind)
    dataset = make(images=images, labels=labels)
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(dataset.images, SOME)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert dataset.fingerprint() == make(images=SOME, labels=LABELS).fingerprint()


def test_what_fits_is_not_copied():
    labels = LABELS.astype(np.int32)
    dataset = make(images=SOME, labels=labels, class_names=list("abcd"))
    assert np.shares_memory(dataset.images, SOME)
    assert np.shares_memory(dataset.labels, labels)
    assert (dataset.class_names, dataset.num_classes, len(dataset)) == (tuple("abcd"), 4, 100)
    assert repr(dataset) == "Dataset('made', 'train': 100 of 6x5x3, 4)"


def test_the_arrays_cannot_be_changed():
    dataset = make()
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        dataset.labels[0] = 0


def test_a_subset_has_the_images_in_the_order_of_its_indices():
    dataset = make()
    part = dataset.subset([7, 3, 7], split="three")
    assert (len(part), part.split, part.class_names) == (3, "three", dataset.class_names)
    np.testing.assert_array_equal(part.images, dataset.images[[7, 3, 7]])
    np.testing.assert_array_equal(part.labels, dataset.labels[[7, 3, 7]])


@pytest.mark.parametrize("indices", [[], [100], [-101], [0.5], [[1, 2]]])
def test_indices_outside_the_dataset_are_refused(indices):
    with pytest.raises(BadArgument, match="indices: "):
        make().subset(indices)


def test_the_fingerprint_tells_data_apart():
    dataset = make()
    labels = dataset.labels.copy()
    labels[0] = (labels[0] + 1) % 4
    others = [
        make(seed=1),
        dataset.subset(np.arange(100)[::-1]),
        make(labels=labels),
        make(class_names=("a", "b", "c", "d")),
    ]
    assert make().fingerprint() == dataset.fingerprint() == make(split="test").fingerprint()
    assert len({dataset.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_the_fingerprint_is_that_of_its_bytes():
    """Results that were written carry it: another definition would call the same data another."""
    dataset = make(number=2)
    text = b"((2, 6, 5, 3), ('class 0', 'class 1', 'class 2', 'class 3'))"
    content = dataset.images.tobytes() + struct.pack("<2i", *dataset.labels)
    assert dataset.fingerprint() == hashlib.sha256(text + content).hexdigest()
    strided = make(number=2, images=np.asfortranarray(dataset.images))
    assert strided.fingerprint() == dataset.fingerprint()


@given(st.lists(st.integers(0, 50), min_size=1).filter(any), st.data())
def test_shares_are_proportional_to_less_than_one(counts, draw):
    total = draw.draw(st.integers(0, sum(counts)))
    shares = allocate(np.array(counts), total)
    assert shares.sum() == total
    assert (shares <= counts).all()
    assert (np.abs(shares - np.array(counts) * total / sum(counts)) < 1).all()


@given(st.integers(0, 2**40), st.floats(0.02, 0.98))
def test_a_validation_set_is_disjoint_stratified_and_complete(seed, fraction):
    number = 100
    # Each image carries its own index, so that it can be found again.
    images = np.broadcast_to(np.arange(number, dtype=np.uint8)[:, None, None, None], (100, 2, 2, 1))
    dataset = make(images=images)
    rest, validation = split_off(dataset, fraction, seed)
    kept, held = rest.images[:, 0, 0, 0], validation.images[:, 0, 0, 0]
    assert sorted([*kept, *held]) == list(range(number))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held) > 0).all()
    np.testing.assert_array_equal(validation.labels, dataset.labels[held])
    assert abs(len(validation) - fraction * number) <= 0.5
    counts = np.bincount(dataset.labels, minlength=4)
    taken = np.bincount(validation.labels, minlength=4)
    assert (np.abs(taken - counts * len(validation) / number) < 1).all()
    assert (rest.split, validation.split) == ("train", "validation")


def test_the_seed_alone_chooses_the_validation_set():
    first, again, other = (split_off(make(), 0.2, seed)[1] for seed in (3, 3, 4))
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_in_each_class_the_images_of_the_lowest_draws_are_held_out(seed):
    dataset = make(number=60)
    draws = np.random.PCG64(seed).random_raw(60)
    expected = []
    for label in range(4):
        members = np.flatnonzero(dataset.labels == label)
        share = allocate(np.bincount(dataset.labels, minlength=4), 18)[label]
        expected += sorted(members, key=lambda index: draws[index])[:share]
    rest, validation = split_off(dataset, 0.3, seed)
    np.testing.assert_array_equal(validation.images, dataset.images[sorted(expected)])
    others = sorted(set(range(60)) - set(expected))
    np.testing.assert_array_equal(rest.images, dataset.images[others])


def test_shares_are_of_largest_remainders_and_ties_go_down():
    assert allocate(np.array([5, 5, 5, 5]), 6).tolist() == [2, 2, 1, 1]
    assert allocate(np.array([1, 1, 8]), 5).tolist() == [1, 0, 4]
    assert allocate(np.array([3, 0, 7]), 10).tolist() == [3, 0, 7]
    assert allocate(np.array([3, 0, 7]), 0).tolist() == [0, 0, 0]
    assert allocate(np.array([6, 3, 1]), 7).tolist() == [4, 2, 1]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 0.001, 0.999, float("nan"), "half"])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(BadArgument, match="fraction: "):
        split_off(make(), fraction, 0)


@pytest.mark.parametrize("seed", [-1, 0.5, True, None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(BadArgument, match="seed: "):
        split_off(make(), 0.1, seed)


def test_statistics_are_those_of_the_pixels():
    dataset = make(number=5000)  # more than one block
    mean, std = statistics(dataset)
    scaled = dataset.images / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, scaled.std((0, 1, 2)), rtol=1e-6)
    assert mean.dtype == std.dtype == np.float32


def test_a_constant_channel_has_a_harmless_deviation():
    mean, std = statistics(make(images=np.full((100, 6, 5, 1), 51, np.uint8)))
    np.testing.assert_allclose(mean, [0.2], rtol=1e-6)
    assert std.tolist() == [1]
