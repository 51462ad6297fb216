"""Slices against Python's own, and stratified ones against the shares that classes have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnjax.data import load, load_splits
from cnnjax.data.slices import Slice
from cnnjax.data.stratified import stratified_order
from cnnjax.errors import BadArgument

ENDS = st.none() | st.integers(-30, 30)


@given(ENDS, ENDS, st.integers(0, 20))
def test_a_slice_is_pythons(start, stop, number):
    text = f"[{'' if start is None else start}:{'' if stop is None else stop}]"
    base, part = Slice.split_from(f"train{text}", "split")
    found = part.indices(np.zeros(number, np.int32), 1)
    assert (base, str(part)) == ("train", text)
    assert found.tolist() == list(range(number))[start:stop]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[:50%]", range(5)), ("[90%:]", [9]), ("[-20%:]", [8, 9]), ("[25%:75%]", range(2, 8))],
)
def test_percent(text, expected):
    _, part = Slice.split_from(text, "split")
    assert part.indices(np.zeros(10, np.int32), 1).tolist() == list(expected)


@pytest.mark.parametrize("text", ["x[5]", "x[", "x[a:]", "x[1:2]y", "x[:5,layered]", "x[:5.5]"])
def test_no_slice(text):
    with pytest.raises(BadArgument, match=r"split: .* ends in no slice; allowed are such as"):
        Slice.split_from(text, "split")


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=60)


@settings(max_examples=60)
@given(LABELS, st.integers(0, 2**32))
def test_every_beginning_has_each_class_in_proportion(labels, seed):
    labels = np.array(labels, np.int32)
    order = stratified_order(labels, 4, seed)
    assert sorted(order) == list(range(len(labels)))
    np.testing.assert_array_equal(order, stratified_order(labels, 4, seed))
    share = np.bincount(labels, minlength=4) / len(labels)
    for number in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:number]], minlength=4)
        # Exact by half an image for a class; the others' halves move where the beginning ends.
        assert np.abs(counts - share * number).max() <= 2


def test_seeds_draw_other_images():
    labels = np.repeat([0, 1], 50).astype(np.int32)
    parts = [Slice.split_from(f"[:20,stratified{seed}]", "split")[1] for seed in ("", "=0", "=1")]
    first, same, other = (part.indices(labels, 2) for part in parts)
    np.testing.assert_array_equal(first, same)
    assert first.tolist() != other.tolist()
    assert np.bincount(labels[other]).tolist() == [10, 10]


def test_of_what_tfds_has_prepared(embedded_dir):
    some = load("digits[:100,stratified]", data_dir=embedded_dir)
    assert set(np.bincount(some.labels)) == {9, 10, 11} - ({9, 11} - set(np.bincount(some.labels)))
    assert some.split == "train[:100,stratified]"
    plain = load("digits[:100]", data_dir=embedded_dir)
    assert plain.fingerprint() == load("digits", "train[:100]", embedded_dir).fingerprint()
    rest = load("digits", "train[100:,stratified]", embedded_dir)
    assert len(rest) == 1337
    assert not {x.tobytes() for x in some.images} & {x.tobytes() for x in rest.images}
    parts = load_splits("digits[:50,stratified]", embedded_dir)
    assert (len(parts.train), len(parts.test)) == (50, 360)
    assert parts.source == "digits/1.0.0 (train: train[:50,stratified]; test: test)"
    with pytest.raises(BadArgument, match="images in common"):
        load_splits("digits[:50,stratified]", embedded_dir, test_split="train[:9]")
    with pytest.raises(BadArgument, match="is empty"):
        load("digits[:0,stratified]", data_dir=embedded_dir)
