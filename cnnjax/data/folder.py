"""What a folder of images has: `class/image`, or `train/class/image` and its like."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cnnjax.data.listing import SPLITS, Listing, Row, natural, spelled
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable

__all__ = ["read_folder"]

_NOBODYS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
"""What systems leave in folders, in lower case, besides names that begin with a dot."""

_LIKE_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def read_folder(path: str | os.PathLike[str]) -> Listing:
    """Find the images of a folder and the classes that they are in; opens none.

    A class is a directory that has files, and is called by its path: `cats`, `birds/owls`. Where
    all directories of the folder are splits (train, val, valid, validation, test, in any case) and
    one is train, each holds the classes. Files are taken in natural order, whatever their suffix;
    hidden ones are not looked at, symbolic links are followed, in a circle only once.

    Raises:
        BadArgument: where there is no such directory, or no class in it.
        Failed: for a directory that may not be read.
    """
    shown = printable(os.fspath(path))
    if "\0" in os.fspath(path):
        raise BadArgument(f"folder: {shown!r} is no path")
    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise BadArgument(f"folder: {shown} {what}; allowed: a directory of images")
    found = [(PurePosixPath(inside), names) for inside, names in _walk(root, "", ())]
    tops = {inside.parts[0] for inside, _ in found if inside.parts}
    splits = _splits_of(tops, shown)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    empty: dict[str, None] = {}
    for inside, names in found:
        split, parts = "train", inside.parts
        if splits and parts:
            split, parts = splits[parts[0]], parts[1:]
        if not parts:
            strays = [name for name in names if name.lower().endswith(_LIKE_IMAGES)]
            left_out |= {str(inside / name): "lies in no class's directory" for name in strays}
        elif names:
            label = spelled("/".join(parts))
            rows += [Row(str(inside / name), label, split) for name in names]
        elif not any(other.is_relative_to(inside) for other, _ in found if other != inside):
            empty[spelled("/".join(parts))] = None
    if not rows:
        first = f"; {len(left_out)} images lie in no class's directory" if left_out else ""
        raise BadArgument(
            f"folder: {shown} has no class with a file in it{first}; allowed: CLASS/IMAGE, or "
            "train/CLASS/IMAGE beside val, valid, validation or test"
        )
    rows.sort(key=lambda row: natural(row.label))  # stable: files keep their order
    full = {row.label for row in rows}
    name = f"folder:{root.name or root}"
    without = tuple(label for label in empty if label not in full)
    return Listing(name, root, tuple(rows), left_out, without)


def _splits_of(tops: set[str], shown: str) -> dict[str, str]:
    """Return what each directory's name means as a split; empty where they are classes."""
    meant = {top: SPLITS.get(top.casefold(), "") for top in tops}
    if not all(meant.values()) or "train" not in meant.values():
        return {}
    for split in set(meant.values()):
        same = sorted(top for top in meant if meant[top] == split)
        if len(same) > 1:
            raise BadArgument(f"folder: {shown} has {' and '.join(same)}; allowed: one of them")
    return meant


def _walk(
    directory: Path, inside: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each directory's path from the root, and the names of its files, in natural order.

    Args:
        directory: where to begin.
        inside: its path from the root.
        above: which directories one came through, by device and number.
    """
    try:
        about = os.stat(directory)
        here = (about.st_dev, about.st_ino)
        if here in above:
            return
        with os.scandir(directory) as entries:
            seen = sorted(filter(None, map(_kind, entries)), key=lambda pair: natural(pair[0]))
    except OSError as error:
        reason = error.strerror or error
        raise Failed(f"folder: cannot read {printable(str(directory))}: {reason}") from error
    yield inside, [name for name, is_directory in seen if not is_directory]
    for name, is_directory in seen:
        if is_directory:
            yield from _walk(directory / name, f"{inside}/{name}".lstrip("/"), (*above, here))


def _kind(entry: os.DirEntry[str]) -> tuple[str, bool] | None:
    """Return a name and whether it is a directory's; None for what is hidden."""
    if entry.name.startswith(".") or entry.name.lower() in _NOBODYS:
        return None
    try:
        return entry.name, stat.S_ISDIR(entry.stat().st_mode)
    except OSError:  # a link to nowhere: said when it is opened
        return entry.name, False
