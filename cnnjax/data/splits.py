"""What a network learns from and what it is tested on, whatever splits a dataset has."""

import dataclasses
import os

from cnnjax.data.checks import check_classes, listed, notes_on_classes, shared
from cnnjax.data.collection import open_collection, sliced
from cnnjax.data.dataset import Dataset
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.resizing import Resize
from cnnjax.data.stratified import split_off
from cnnjax.errors import BadArgument

__all__ = ["TEST_SHARE", "Splits", "load_splits"]

TEST_SHARE = 0.2
"""What is cut off the training set of a dataset that has nothing to test on."""

_FOR_TESTS = ("test", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class Splits:
    """What `load_splits` found.

    Attributes:
        train: to learn from.
        test: to be judged by; shares no record with `train`.
        source: the dataset's name with its version, and which parts these are where they are not
            its own train and test.
        note: what was taken for want of a test split, and what is odd about files, a sentence a
            line; "" where there is nothing to say.
        crop_mode: how images of other sizes become such as these, as `Preprocessing.crop_mode`.
    """

    train: Dataset | ImageFiles
    test: Dataset | ImageFiles
    source: str
    note: str
    crop_mode: str = "center"


def load_splits(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    train_split: str | None = None,
    test_split: str | None = None,
    resize: int | str | Resize | None = None,
) -> Splits:
    """Read what to train on and what to test on.

    Where no test split is named it is `test`, else `validation`, else a stratified fifth that is
    cut off the training set, the same fifth every time.

    Args:
        name: as for `load`; a slice at its end is of the training set.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        train_split: a split, or a slice such as `"train[:1000]"`; by default `"train"`.
        test_split: the same; it may not share records with the other.
        resize: as for `load`.

    Raises:
        BadArgument: as `load`, for splits that overlap, and for files of one class, or of more
            classes than images.
        Failed: as `load`.
    """
    how = Resize.of(resize)
    collection, part = open_collection(name, data_dir, how)
    learn = sliced(train_split or "train", part)
    usual = [split for split in _FOR_TESTS if split in collection.splits]
    judge = test_split or next(
        (split for split in usual if not collection.shared(learn, split)), None
    )
    if judge is not None and (number := collection.shared(learn, judge)):
        raise BadArgument(
            f"test_split: {judge!r} of {name!r} has {number:,} images in common with {learn!r}, "
            "which is trained on; allowed: none"
        )
    train = collection.read(learn)
    notes: list[str] = []
    if isinstance(train, ImageFiles):
        check_classes(train.class_names, len(train), train.name)
        notes += train.notes
        if "[" in learn:
            notes += notes_on_classes(train.labels, train.class_names)
    test: Dataset | ImageFiles
    if judge is None:
        train, test = split_off(train, TEST_SHARE, 0)
        test = test.subset(range(len(test)), f"a fifth of {learn}")
        train = train.subset(range(len(train)), f"four fifths of {learn}")
        notes.append(
            f"{name!r} has no other split to test on than {learn!r}: a fifth of that is cut off"
        )
        notes += _leaks(train, test)
    else:
        test = collection.read(judge)
        if test_split is None and judge != "test":
            notes.append(f"{name!r} has no split 'test': {judge!r} is tested on")
    source = collection.name
    if (train.split, test.split) != ("train", "test"):
        source += f" (train: {train.split}; test: {test.split})"
    note = "\n".join(dict.fromkeys(notes))
    return Splits(train, test, source, note, "center" if how is None else how.mode)


def _leaks(train: Dataset | ImageFiles, test: Dataset | ImageFiles) -> list[str]:
    """Return a sentence on the images that a cut has put on both sides."""
    if not (isinstance(train, ImageFiles) and isinstance(test, ImageFiles)):
        return []
    pairs = shared(train.digests, test.digests)
    if not pairs:
        return []
    files, others = train.files, test.files
    named = listed(f"{files[one]} = {others[other]}" for one, other in pairs)
    return [f"{len(pairs):,} of {len(test):,} test images are trained on as well: {named}"]
