import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnjax.data import Dataset, resize, split_off, statistics
from cnnjax.data.dataset import allocate
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


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((100, 6, 5, 3), np.float32)}, "expected uint8"),
        ({"images": np.zeros((100, 6, 5), np.uint8)}, r"received uint8 \[100, 6, 5\]"),
        ({"images": np.zeros((99, 6, 5, 3), np.uint8)}, r"expected int32 \[99\]"),
        ({"labels": np.zeros(100, np.int64)}, "received int64"),
        ({"labels": np.full(100, 4, np.int32)}, r"100 of 100 are outside the classes 0..3.*is 4"),
        ({"labels": np.full(100, -1, np.int32)}, "the first is -1 at index 0"),
        ({"images": np.zeros((0, 6, 5, 3), np.uint8), "labels": np.zeros(0, np.int32)}, "empty"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused(changes, words):
    with pytest.raises(BadArgument, match=words) as error:
        make(**changes)
    assert "'made', split 'train'" in str(error.value)


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


def test_resized_images_keep_what_is_on_them():
    images = np.zeros((3, 4, 6, 3), np.uint8)
    images[:, :2] = (200, 100, 0)
    dataset = Dataset("x", "train", images, np.arange(3, dtype=np.int32), ("a", "b", "c"))
    large = resize(dataset, 16)
    assert large.images.shape == (3, 16, 16, 3)
    assert large.images[:, 0].tolist() == [[[200, 100, 0]] * 16] * 3
    assert not large.images[:, -1].any()
    np.testing.assert_array_equal(large.labels, dataset.labels)
    small = resize(large, 2, "bilinear").images
    assert small[:, 0, :, 0].min() > 150 > 50 > small[:, 1, :, 0].max()
    for pixels, interpolation in ((0, "bicubic"), (2.5, "bicubic"), (8, "nearest")):
        with pytest.raises(BadArgument, match=r"pixels|interpolation"):
            resize(dataset, pixels, interpolation)
