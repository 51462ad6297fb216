"""What is trained on and tested on, of datasets with all kinds of splits."""

import numpy as np
import pytest

from cnnjax.data import load, load_splits, resize_images, split_off
from cnnjax.errors import BadArgument


def rows(dataset):
    return {image.tobytes() for image in dataset.images}


def same(one, other):
    assert one.fingerprint() == other.fingerprint()


def test_its_own_train_and_test(write_dataset, pictures):
    splits = {name: pictures(9, seed) for seed, name in enumerate(("train", "validation", "test"))}
    root = write_dataset("three", splits)
    parts = load_splits("three", root)
    same(parts.train, load("three", "train", root))
    same(parts.test, load("three", "test", root))
    assert (parts.source, parts.note) == ("three/1.0.0", "")
    assert (parts.train.split, parts.test.split) == ("train", "test")


def test_validation_stands_in_for_test_and_that_is_said(write_dataset, pictures):
    root = write_dataset("two", {"validation": pictures(6, 1), "train": pictures(9, 0)})
    parts = load_splits("two", root)
    same(parts.train, load("two", "train", root))
    same(parts.test, load("two", "validation", root))
    assert parts.note == "'two' has no split 'test': 'validation' is tested on"
    assert parts.source == "two/1.0.0 (train: train; test: validation)"
    # Named, it is nothing to speak of.
    named = load_splits("two", root, test_split="validation")
    same(named.test, parts.test)
    assert (named.note, named.source) == ("", parts.source)
    # Trained on, it cannot be tested on: the other way round, a fifth of it is.
    turned = load_splits("two", root, train_split="validation", test_split="train")
    same(turned.train, parts.test)
    same(turned.test, parts.train)
    alone = load_splits("two", root, train_split="validation")
    assert (len(alone.train), len(alone.test)) == (5, 1)
    both = load_splits("two", root, train_split="train+validation")
    assert (len(both.train), len(both.test)) == (12, 3)


def test_without_another_split_a_stratified_fifth_is_cut_off(write_dataset, pictures):
    root = write_dataset("one", {"train": pictures(30)})
    parts, again = load_splits("one", root), load_splits("one", root)
    same(parts.train, again.train)
    same(parts.test, again.test)
    whole = load("one", "train", root)
    rest, fifth = split_off(whole, 0.2, 0)
    same(parts.train, rest)
    same(parts.test, fifth)
    assert (len(parts.train), len(parts.test)) == (24, 6)
    assert rows(parts.train) | rows(parts.test) == rows(whole)
    assert not rows(parts.train) & rows(parts.test)
    assert np.bincount(parts.test.labels).tolist() == [2, 2, 2]
    assert "no other split to test on than 'train': a fifth" in parts.note
    assert parts.source == "one/1.0.0 (train: four fifths of train; test: a fifth of train)"


def test_slices_go_where_splits_do(embedded_dir):
    parts = load_splits(
        "digits", embedded_dir, train_split="train[:50]", test_split="train[90%:]+test[:7]"
    )
    same(parts.train, load("digits", "train[:50]", embedded_dir))
    assert len(parts.test) == round(1437 * 0.1) + 7
    assert parts.source == "digits/1.0.0 (train: train[:50]; test: train[90%:]+test[:7])"
    usual = load_splits("digits", embedded_dir, train_split="train[5:25]")
    assert (len(usual.train), len(usual.test)) == (20, 360)


@pytest.mark.parametrize(
    ("train", "test", "shared"),
    [
        (None, "train", 1437),
        ("train[:100]", "train[99:200]", 1),
        ("train[100:]", "train[:101]", 1),
        ("train[:50%]", "test+train[-720:]", 1),
        ("test", "test[10:20]", 10),
        ("train[:1000]", "train", 1000),
    ],
)
def test_what_is_trained_on_is_not_tested_on(train, test, shared, embedded_dir):
    with pytest.raises(BadArgument, match=rf"test_split: .* has {shared:,} images in common with"):
        load_splits("digits", embedded_dir, train_split=train, test_split=test)


@pytest.mark.parametrize(
    ("train", "test"), [("train[:100]", "train[100:]"), ("train[-9:]", "train[:-9]")]
)
def test_neighbours_are_apart(train, test, embedded_dir):
    parts = load_splits("digits", embedded_dir, train_split=train, test_split=test)
    assert len(parts.train) + len(parts.test) == 1437


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train_split": "trian"}, "split: unknown name 'trian'; did you mean 'train'"),
        ({"test_split": "tset"}, "split: unknown name 'tset'; did you mean 'test'"),
        ({"test_split": "test[x:]"}, "split: 'test.x:.' is not a slice of the 360 images"),
        ({"test_split": "test[4:4]"}, "is empty"),
        ({"resize": 0}, "resize: received 0, allowed: integers from 1 to 8192"),
        ({"resize": 10**10}, "resize: received 10000000000"),
    ],
)
def test_bad_arguments(arguments, words, embedded_dir):
    with pytest.raises(BadArgument, match=words):
        load_splits("digits", embedded_dir, **arguments)


def test_a_dataset_without_train_names_what_it_has(write_dataset, pictures):
    root = write_dataset("exam", {"test": pictures(9)})
    with pytest.raises(BadArgument, match=r"split: unknown name 'train'.*allowed: test\)"):
        load_splits("exam", root)


def test_images_of_several_sizes_are_resized_as_they_are_read(write_dataset, pictures):
    sizes = [(6, 5, 3), (9, 4, 3), (12, 12, 3), (6, 5, 3)]
    drawn = [pictures(1, seed, size)[0] for seed, size in enumerate(sizes)]
    root = write_dataset("several", {"train": drawn, "test": drawn[:1]})
    parts = load_splits("several", root, resize=7)
    expected = {resize_images(image[None], 7).tobytes() for image, _ in drawn}
    assert rows(parts.train) == expected
    assert parts.train.images.shape == (4, 7, 7, 3)
    # A part of one size is no other case.
    assert rows(parts.test) == {resize_images(drawn[0][0][None], 7).tobytes()}
    with pytest.raises(BadArgument, match=r"differ in size: \(.*\) at first, .*resize, --resize"):
        load_splits("several", root)
