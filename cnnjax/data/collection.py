"""`Collection`: all splits of a data set, of whatever kind a name says."""

import dataclasses
import os
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cnnjax.data.dataset import Dataset
from cnnjax.data.folder import read_folder
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.image_sets import image_sets
from cnnjax.data.listing import Listing, read_list
from cnnjax.data.prepared import Prepared
from cnnjax.data.resizing import Resize
from cnnjax.data.slices import Slice
from cnnjax.errors import BadArgument, unknown

__all__ = [
    "KINDS",
    "Collection",
    "Files",
    "ListedFiles",
    "listed_files",
    "open_collection",
    "sliced",
]


class Collection(Protocol):
    """All splits of a data set.

    Attributes:
        name: as results call it, with its version where it has one.
        splits: how many images each has.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def splits(self) -> Mapping[str, int]: ...  # noqa: D102

    def read(self, split: str) -> Dataset | ImageFiles:
        """Return a split, or a slice of one, such as `"train[:1000]"`."""

    def shared(self, one: str, other: str) -> int:
        """Return how many records two splits, or slices, have in common."""

    def about(self) -> dict[str, str]:
        """Return `version`, `directory`, `description`, `homepage` and `citation`, "" if none."""


@dataclasses.dataclass(frozen=True)
class Files:
    """A `Collection` of image files.

    Attributes:
        name: as results call it.
        root: where relative paths start.
        sets: the splits by name.
    """

    name: str
    root: Path
    sets: dict[str, ImageFiles]

    @property
    def splits(self) -> dict[str, int]:
        """How many images each split has."""
        return {split: len(found) for split, found in self.sets.items()}

    def read(self, split: str) -> ImageFiles:
        """Return a split, or a slice of one; `BadArgument` for another name, or an empty one."""
        base, part = Slice.split_from(split, "split")
        if base not in self.sets:
            raise unknown("split", base, self.sets)
        whole = self.sets[base]
        if part is None:
            return whole
        indices = part.indices(whole.labels, whole.num_classes)
        if not len(indices):
            raise BadArgument(f"split: {split!r} of {self.name!r} is empty")
        return whole.subset(indices, split)

    def shared(self, one: str, other: str) -> int:
        """Return how many images two splits, or slices, have in common."""
        rows = [set(self.read(split).rows.tolist()) for split in (one, other)]
        return len(rows[0] & rows[1])

    def about(self) -> dict[str, str]:
        """Return where the files are; nothing else is known of them."""
        blank = dict.fromkeys(("version", "directory", "description", "homepage", "citation"), "")
        return {**blank, "directory": str(self.root)}


KINDS: dict[str, tuple[Callable[..., Listing], frozenset[str]]] = {
    "folder": (read_folder, frozenset({"strict", "channels"})),
    "list": (read_list, frozenset({"strict", "channels", "path", "label", "split"})),
}
"""What may stand before a colon and a path: what lists the images, and the options it takes."""


def open_collection(
    name: str, data_dir: str | os.PathLike[str] | None = None, resize: Resize | None = None
) -> tuple[Collection, Slice | None]:
    """Return the data set of a name, and the slice at its end.

    Args:
        name: `"mnist5k"`, `"digits"`, any name that TFDS knows, `"folder:PATH"` or `"list:FILE"`;
            behind a path options, such as `"list:FILE?path=file&label=species"` (the columns),
            `?strict` and `?channels=1`; at the end a slice, such as `"cifar10[:5000]"` or
            `"[:5000,stratified]"`.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        resize: how images become squares; None leaves them as they are.

    Raises:
        BadArgument: for another name or option, and as `from_folder` and `load`.
        Failed: as `from_folder` and `load`.
    """
    files = listed_files(name)
    if files is None:
        base, part = Slice.split_from(name, "dataset")
        return Prepared(base, data_dir, resize), part
    listing = files.listing
    sets = image_sets(listing, resize, files.channels, files.strict)
    return Files(listing.name, listing.root, sets), files.part


class ListedFiles(NamedTuple):
    """What a name says of image files, before any is opened.

    Attributes:
        listing: of the files.
        channels: 1, 3 or None, as of `from_folder`.
        strict: whether what is no image is refused.
        part: the slice behind it.
    """

    listing: Listing
    channels: int | None
    strict: bool
    part: Slice | None


def listed_files(name: str) -> ListedFiles | None:
    """Return what a name lists; None where it is none of files. Errors as of `open_collection`."""
    kind, colon, rest = name.partition(":")
    if not colon or kind not in KINDS:
        return None
    read, allowed = KINDS[kind]
    path, options, part = _taken_apart(rest, kind)
    for key in options:
        if key not in allowed:
            raise unknown(f"{kind}: option", key, allowed)
    strict = "strict" in options and options.pop("strict") != "0"
    channels = options.pop("channels", None)
    if channels not in (None, "1", "3"):
        raise BadArgument(f"{kind}: channels: received {channels!r}, allowed: 1, 3")
    listing = read(path, **options)
    return ListedFiles(listing, None if channels is None else int(channels), strict, part)


def _taken_apart(text: str, kind: str) -> tuple[str, dict[str, str], Slice | None]:
    """Return path, options and slice; brackets and question marks may be in a path as well."""
    if not text:
        raise BadArgument(f"dataset: {kind}: is followed by no path")
    part: Slice | None = None
    if not _there(text) and text.endswith("]"):
        at = text.rindex("[")
        _, part = Slice.split_from(text[at:], "dataset")
        text = text[:at]
    options: dict[str, Any] = {}
    if not _there(text) and "?" in text:
        text, _, written = text.rpartition("?")
        options = dict(urllib.parse.parse_qsl(written, keep_blank_values=True))
    return text, options, part


def _there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def sliced(split: str, part: Slice | None) -> str:
    """Return a split's name with the slice that stands behind the data set's.

    >>> sliced("train", Slice(stop="5000"))
    'train[:5000]'
    """
    if part is None:
        return split
    if "[" in split or "+" in split:
        raise BadArgument(
            f"split: {split!r} of a data set that is sliced too, {part}; allowed: one"
        )
    return f"{split}{part}"
