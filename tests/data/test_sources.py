"""What holds of every kind of source: one table, one set of checks.

The same nine images stand in each, in the order of their classes; a kind that a name can write,
`cnnjax.data.collection.KINDS`, has to have a row.
"""

import concurrent.futures
import csv

import numpy as np
import pytest

from cnnjax.data import Dataset, Source, from_arrays, load, split_off, statistics
from cnnjax.data.collection import KINDS
from cnnjax.data.source import Subset, blocks

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 6, 5, 3)).astype(np.uint8)
LABELS = np.repeat(np.arange(3, dtype=np.int32), 3)
CLASSES = ("a", "b", "c")


def files(root, images, labels):
    """Write images as `root/class/number.png` and return their paths from the root."""
    Image = pytest.importorskip("PIL.Image")
    paths = [f"{CLASSES[label]}/{number}.png" for number, label in enumerate(labels)]
    for path, image in zip(paths, images, strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / path)
    return paths


def folder(root, images, labels, request):
    files(root, images, labels)
    return load(f"folder:{root}")


def listing(root, images, labels, request):
    paths = files(root, images, labels)
    with open(root / "list.csv", "w", newline="") as stream:
        rows = [(path, CLASSES[label]) for path, label in zip(paths, labels, strict=True)]
        csv.writer(stream).writerows([("path", "label"), *rows])
    return load(f"list:{root / 'list.csv'}")


def prepared(root, images, labels, request):
    rows = list(zip(images, labels.tolist(), strict=True))
    data_dir = request.getfixturevalue("write_dataset")(root.name, {"train": rows})
    found = load(root.name, "train", data_dir)
    # Its records are in an order of their own.
    indices = [int((found.images == image).all((1, 2, 3)).argmax()) for image in images]
    return found.subset(indices)


def arrays(root, images, labels, request):
    return from_arrays(images, labels, CLASSES)


def subset(root, images, labels, request):
    whole = Dataset("more", "train", images[::-1].repeat(2, 0), labels[::-1].repeat(2), CLASSES)
    return Subset(whole, np.arange(17, 0, -2))


def half(root, images, labels, request):
    """What is held out of twice as many, put in their order."""
    twice = Dataset("twice", "train", images.repeat(2, 0), labels.repeat(2), CLASSES)
    parts = split_off(twice, 0.5, 0)
    both = np.concatenate([part.take(np.arange(len(part))) for part in parts])
    assert sorted(both.tolist()) == sorted(twice.images.tolist())
    found = [next(i for i in range(18) if (both[i] == image).all()) for image in images]
    labels = np.concatenate([part.labels for part in parts])
    return Subset(Dataset("twice", "train", both, labels, CLASSES), np.array(found))


def slice_of_a_folder(root, images, labels, request):
    files(root, images, labels)
    return load(f"folder:{root}[:100]")


@pytest.fixture(autouse=True)
def _kept(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))


SOURCES = {
    "arrays": arrays,
    "prepared": prepared,
    "folder": folder,
    "list": listing,
    "subset": subset,
    "held out": half,
    "slice": slice_of_a_folder,
}


@pytest.fixture(params=SOURCES)
def make(request, tmp_path):
    """The function that makes a source of images and their labels, each in a directory."""

    def made(images=IMAGES, labels=LABELS, place="first"):
        root = tmp_path / place
        root.mkdir()
        return SOURCES[request.param](root, images, labels, request)

    return made


def test_every_kind_that_a_name_can_write_is_here():
    assert set(KINDS) <= set(SOURCES)


def test_a_source_has_images_labels_and_names(make):
    source = make()
    assert isinstance(source, Source)
    assert isinstance(source.name, str)
    assert len(source) == 9
    assert source.image_shape == (6, 5, 3)
    assert source.class_names == CLASSES
    labels = np.asarray(source.labels)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, LABELS)


def test_images_are_taken_in_any_order_any_number_of_times(make):
    source = make()
    for indices in ([0], [8, 0, 3], [4, 4, 4], list(range(9)), list(range(9)) * 3):
        taken = source.take(np.array(indices))
        assert (taken.dtype, taken.shape) == (np.uint8, (len(indices), 6, 5, 3))
        np.testing.assert_array_equal(taken, IMAGES[indices])
    np.testing.assert_array_equal(np.concatenate(list(blocks(source, 4))), IMAGES)
    mean, std = statistics(source)
    pixels = IMAGES.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-5)


def test_images_are_taken_by_several_threads_at_once(make):
    source, draw = make(), np.random.default_rng(1)
    orders = [draw.permutation(9) for _ in range(30)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for order, taken in zip(orders, pool.map(source.take, orders), strict=True):
            np.testing.assert_array_equal(taken, IMAGES[order])


def test_what_is_taken_is_the_takers_own(make):
    source = make()
    first = np.array(source.take(np.arange(9)))
    taken = source.take(np.arange(9))
    if taken.flags.writeable:
        taken[:] = 0
    np.testing.assert_array_equal(source.take(np.arange(9)), first)


def test_the_fingerprint_is_of_images_and_labels(make):
    before = make()
    again = make(place="again")
    assert before.fingerprint() == before.fingerprint() == again.fingerprint()
    other = IMAGES.copy()
    other[4, 2, 2, 1] ^= 1
    labels = LABELS.copy()
    labels[[2, 3]] = labels[[3, 2]]
    prints = {
        before.fingerprint(),
        make(images=other, place="pixel").fingerprint(),
        make(labels=labels, place="labels").fingerprint(),
        make(images=IMAGES[[1, 0, *range(2, 9)]], place="order").fingerprint(),
    }
    assert len(prints) == 4
