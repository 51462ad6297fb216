"""The splits of a folder or a list of images, decoded and looked at."""

import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnnjax.data.checks import duplicates, left_out_note, listed, notes_on_classes
from cnnjax.data.decoded import Decoded, decode_files
from cnnjax.data.folder import read_folder
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.listing import Listing, natural, read_list
from cnnjax.data.resizing import Resize
from cnnjax.errors import BadArgument, Failed, unknown

__all__ = ["from_folder", "from_list", "image_sets"]


def from_folder(
    path: str | os.PathLike[str],
    split: str = "train",
    *,
    resize: int | str | Resize | None = None,
    channels: int | None = None,
    strict: bool = False,
) -> ImageFiles:
    """Read images in folders of their classes: `path/class/image`, or `path/train/class/image`.

    A class is a directory that has files, and is called by its path from the folder: `cats`,
    `birds/owls`. Directories called train, val, valid, validation and test are splits where there
    are no others and one is train; without them, all images are `"train"`, and `split_off` cuts.
    JPEG, PNG, WebP, GIF, BMP, TIFF and what else `read_photograph` reads, by their content, upright
    and in natural order; hidden files are no images, hidden directories no classes. What is broken
    is left out. The first call decodes the files, and keeps the pixels for later ones.

    Args:
        path: the folder.
        split: `"train"`, `"validation"` or `"test"`.
        resize: how images become squares: a number of pixels, a `Resize`, or a text such as
            `"224:pad"`; None where all have one size already.
        channels: 1 or 3; by default 1 where all images are grey, else 3.
        strict: refuse the folder where a file in a class's directory is no image.

    Returns:
        A `Source` whose `files` are the images' names, and whose `left_out` and `notes` say what is
        odd: that is also warned of.

    Raises:
        BadArgument: where there is no such directory, class or split; for images of several sizes
            that are not resized; for classes of which there is nothing to learn from.
        Failed: for a directory that may not be read, where no file is an image, where one changes
            meanwhile, or is left out with `strict`; where neither disk nor memory suffices.
    """
    return _one(read_folder(path), split, resize, channels, strict)


def from_list(
    file: str | os.PathLike[str],
    split: str = "train",
    *,
    path: str = "path",
    label: str = "label",
    split_column: str = "split",
    resize: int | str | Resize | None = None,
    channels: int | None = None,
    strict: bool = False,
) -> ImageFiles:
    """Read the images of a list: CSV with a header (`.tsv`: tab-separated), or JSON lines.

    Args:
        file: the list; paths in it are relative to its directory, or absolute.
        split: as of `from_folder`.
        path: the column, or key, that has the images' paths.
        label: that has the classes' names.
        split_column: that has the splits' names, where there are several.
        resize: as of `from_folder`.
        channels: as of `from_folder`.
        strict: as of `from_folder`.

    Returns:
        As `from_folder`.

    Raises:
        BadArgument: as `from_folder`, and for a list that has no such columns; names the line.
        Failed: as `from_folder`.
    """
    listing = read_list(file, path=path, label=label, split=split_column)
    return _one(listing, split, resize, channels, strict)


def _one(
    listing: Listing,
    split: str,
    resize: int | str | Resize | None,
    channels: int | None,
    strict: bool,
) -> ImageFiles:
    sets = image_sets(listing, Resize.of(resize), channels, strict)
    if split not in sets:
        raise unknown("split", split, sets)
    found = sets[split]
    for note in found.notes:
        warnings.warn(f"{found.name}: {note}", stacklevel=3)
    return found


def image_sets(
    listing: Listing, resize: Resize | None, channels: int | None, strict: bool
) -> dict[str, ImageFiles]:
    """Return the splits of a listing by name; arguments and errors as of `from_folder`."""
    if channels not in (None, 1, 3):
        raise BadArgument(f"channels: received {channels!r}, allowed: 1, 3")
    places = {file: index for index, file in enumerate(dict.fromkeys(r.file for r in listing.rows))}
    decoded = decode_files(listing.name, Path(listing.root), tuple(places), resize, channels)
    left_out = {**listing.left_out, **decoded.faults}
    note = left_out_note(left_out, len(places) + len(listing.left_out))
    if strict and left_out:
        raise Failed(f"{listing.name}: {note}; strict allows none")
    rows = [row for row in listing.rows if row.file not in decoded.faults]
    if not rows:
        raise Failed(f"{listing.name}: none of the files is an image; {note}")
    class_names = _classes(listing, {row.label for row in rows if row.split == "train"})
    numbers = {label: index for index, label in enumerate(class_names)}
    _check_splits(listing.name, {row.label: row.split for row in rows}, numbers)
    sets = {}
    for split in sorted({row.split for row in rows}, key=("train", "validation", "test").index):
        mine = [row for row in rows if row.split == split]
        sets[split] = ImageFiles(
            listing.name,
            split,
            decoded,
            np.array([places[row.file] for row in mine], np.int64),
            np.array([numbers[row.label] for row in mine], np.int32),
            class_names,
            left_out,
            (),
        )
    notes = tuple(filter(None, [decoded.note, note, *_notes(listing, decoded, sets)]))
    return {split: dataclasses.replace(found, notes=notes) for split, found in sets.items()}


def _classes(listing: Listing, labels: set[str]) -> tuple[str, ...]:
    if not labels:
        raise BadArgument(f"{listing.name} has no image to train on in any class")
    return tuple(sorted(labels, key=natural))


def _check_splits(name: str, splits: dict[str, str], classes: dict[str, int]) -> None:
    unseen = sorted((label for label in splits if label not in classes), key=natural)
    if unseen:
        raise BadArgument(
            f"{name}: {len(unseen)} classes have images in {splits[unseen[0]]!r} and none in "
            f"'train': {listed(unseen)}; allowed: classes that there are images to learn from"
        )


def _notes(listing: Listing, decoded: Decoded, sets: dict[str, ImageFiles]) -> Iterator[str]:
    """Yield a sentence on each thing that is odd about the classes of files."""
    train = sets["train"]
    without = {*listing.empty, *(row.label for row in listing.rows)} - {*train.class_names}
    if without:
        yield f"{len(without)} classes have no image: {listed(sorted(without, key=natural))}"
    yield from notes_on_classes(train.labels, train.class_names)
    labels = np.concatenate([found.labels for found in sets.values()])
    rows = np.concatenate([found.rows for found in sets.values()])
    split = np.repeat(list(sets), [len(found) for found in sets.values()])
    pairs = duplicates(decoded.digests[rows])
    kinds: dict[str, list[str]] = {}
    for one, other in pairs:
        if labels[one] != labels[other]:
            kind = "in two classes"
        elif split[one] != split[other]:
            kind = "in two splits"
        else:
            kind = "there twice"
        named = " = ".join(decoded.files[rows[each]] for each in (one, other))
        kinds.setdefault(kind, []).append(named)
    for kind, same in sorted(kinds.items()):
        are = "image is" if len(same) == 1 else "images are"
        yield f"{len(same):,} {are} {kind}: {listed(same)}"
