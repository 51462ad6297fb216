"""Reading records: each once and in order, of one size or resized, and memory looked at first."""

import types

import numpy as np
import pytest

from cnnjax.data import Resize, load
from cnnjax.data.library import import_tfds
from cnnjax.data.prepared import read_split
from cnnjax.errors import BadArgument, Failed
from cnnjax.runtime import memory


class Records:
    """A prepared dataset of so many records, which tells what was read of it."""

    data_path = "nowhere"

    def __init__(self, number, side=1):
        kinds = import_tfds().features
        self.info = types.SimpleNamespace(
            full_name="made",
            features=kinds.FeaturesDict(
                {"image": kinds.Image(), "label": kinds.ClassLabel(names=["a", "b"])}
            ),
            supervised_keys=None,
            splits={"train": types.SimpleNamespace(num_examples=number)},
        )
        self.side, self.read = side, []

    def as_data_source(self, split):
        assert split == "train"
        return self

    def __getitems__(self, indices):
        self.read.append(indices)
        shape = (self.side, self.side, 3)
        return [
            {"image": np.full(shape, index % 251, np.uint8), "label": index % 2}
            for index in indices
        ]


@pytest.mark.parametrize("number", [1, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize("resize", [None, 2])
def test_every_record_is_read_once_and_in_order(number, resize):
    records = Records(number)
    dataset = read_split(records, "made", "train", Resize.of(resize))
    assert [index for indices in records.read for index in indices] == list(range(number))
    assert max(map(len, records.read)) <= 1024
    assert dataset.images.shape == (number, resize or 1, resize or 1, 3)
    np.testing.assert_array_equal(dataset.images[:, 0, 0, 0], np.arange(number) % 251)
    np.testing.assert_array_equal(dataset.labels, np.arange(number) % 2)
    assert (dataset.name, dataset.split, dataset.class_names) == ("made", "train", ("a", "b"))


def test_memory_is_looked_at_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 * 8 * 8 * 3)
    assert len(read_split(Records(10, 8), "made", "train")) == 10
    records = Records(5000, 8)
    with pytest.raises(Failed, match=r"'train' of 'made', 5,000 images of 8x8x3, takes .*:1000"):
        read_split(records, "made", "train")
    assert len(records.read) == 1
    # What counts is what is kept: squares of the new size.
    assert len(read_split(Records(10, 32), "made", "train", Resize(8))) == 10
    with pytest.raises(Failed, match="10 images of 9x9x3, takes"):
        read_split(Records(10, 8), "made", "train", Resize(9))


def test_memory_that_runs_out_is_worded():
    class Exhausted(Records):
        def __getitems__(self, indices):
            raise MemoryError

    with pytest.raises(Failed, match="'train' of 'made', 3 images, does not fit into memory; take"):
        read_split(Exhausted(3), "made", "train")


def test_images_of_several_sizes_must_be_resized(write_dataset, pictures):
    root = write_dataset("sizes", {"train": pictures(2, 0, (4, 4, 3)) + pictures(1, 1, (4, 5, 3))})
    with pytest.raises(
        BadArgument, match=r"\(4, [45], 3\) at first, \(4, [45], 3\) at index [12];"
    ):
        load("sizes", "train", root)
    assert load("sizes", "train", root, resize=4).images.shape == (3, 4, 4, 3)


@pytest.mark.parametrize("resize", [None, 5])
def test_numbers_of_channels_may_not_differ(resize):
    class Mixed(Records):
        def __getitems__(self, indices):
            rows = super().__getitems__(indices)
            rows[-1]["image"] = rows[-1]["image"][..., :1]
            return rows

    for number in (4, 1027):  # in the second case it is the first batch's last
        where = min(number, 1024) - 1
        with pytest.raises(
            BadArgument, match=rf"3 at first, \(1, 1, 1\) at index {where}; .* chan"
        ):
            read_split(Mixed(number), "made", "train", Resize.of(resize))
