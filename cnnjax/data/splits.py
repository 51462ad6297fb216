"""What a network learns from and what it is tested on, whatever splits a dataset has."""

import dataclasses
import os
from typing import Any

from cnnjax.data.dataset import Dataset, split_off
from cnnjax.data.library import import_tfds, silence
from cnnjax.data.load import check_resize, read_split
from cnnjax.data.prepare import prepare
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
        note: a sentence on what was taken for want of a test split; "" where there is one.
    """

    train: Dataset
    test: Dataset
    source: str
    note: str


def load_splits(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    train_split: str | None = None,
    test_split: str | None = None,
    resize: int | None = None,
) -> Splits:
    """Read what to train on and what to test on.

    Where no test split is named it is `test`, else `validation`, else a stratified fifth that is
    cut off the training set, the same fifth every time.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        train_split: a split, or a slice such as `"train[:1000]"`; by default `"train"`.
        test_split: the same; it may not share records with the other.
        resize: as for `load`.

    Raises:
        BadArgument: as `load`, and for splits that overlap.
        Failed: as `load`.
    """
    check_resize(resize)
    builder = prepare(name, data_dir)
    learn = train_split or "train"
    usual = [split for split in _FOR_TESTS if _size(builder, split)]
    judge = test_split or next(
        (split for split in usual if not _shared(builder, learn, split)), None
    )
    if judge is not None and (number := _shared(builder, learn, judge)):
        raise BadArgument(
            f"test_split: {judge!r} of {name!r} has {number:,} images in common with {learn!r}, "
            "which is trained on; allowed: none"
        )
    train = read_split(builder, name, learn, resize)
    note = ""
    if judge is None:
        train, test = split_off(train, TEST_SHARE, 0)
        test = dataclasses.replace(test, split=f"a fifth of {learn}")
        train = dataclasses.replace(train, split=f"four fifths of {learn}")
        note = f"{name!r} has no other split to test on than {learn!r}: a fifth of that is cut off"
    else:
        test = read_split(builder, name, judge, resize)
        if test_split is None and judge != "test":
            note = f"{name!r} has no split 'test': {judge!r} is tested on"
    source = str(builder.info.full_name)
    if (train.split, test.split) != ("train", "test"):
        source += f" (train: {train.split}; test: {test.split})"
    return Splits(train, test, source, note)


def _size(builder: Any, split: str) -> int:
    splits = builder.info.splits
    return int(splits[split].num_examples) if split in splits else 0


def _shared(builder: Any, learn: str, judge: str) -> int:
    """How many records two splits have in common."""
    return sum(
        max(0, min(one[2], other[2]) - max(one[1], other[1]))
        for one in _ranges(builder, learn)
        for other in _ranges(builder, judge)
        if one[0] == other[0]
    )


def _ranges(builder: Any, split: str) -> list[tuple[str, int, int]]:
    """Name, first record and the one behind the last of each part of a split."""
    splits = builder.info.splits
    with silence():
        try:
            parts = import_tfds().core.ReadInstruction.from_spec(split).to_absolute(splits)
        except Exception:  # read_split says what is wrong with it
            return []
    return [
        (
            part.splitname,
            part.from_ or 0,
            splits[part.splitname].num_examples if part.to is None else part.to,
        )
        for part in parts
    ]
