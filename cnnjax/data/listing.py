"""`Listing`: image files with their classes and splits, none decoded yet; and lists of them."""

import csv
import dataclasses
import io
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cnnjax.errors import BadArgument, unknown
from cnnjax.files import printable, read_bytes

__all__ = ["SPLITS", "Listing", "Row", "natural", "read_list", "spelled"]

SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""What people call their splits, and what these are called here."""

_MOST_BYTES = 2**30  # of a list: some ten million images


@dataclasses.dataclass(frozen=True)
class Row:
    """One image file.

    Attributes:
        file: its path, from the listing's root where it is not absolute.
        label: the name of its class.
        split: of the values of `SPLITS`.
    """

    file: str
    label: str
    split: str = "train"


@dataclasses.dataclass(frozen=True)
class Listing:
    """Image files with their classes and splits.

    Attributes:
        name: what results call it.
        root: the directory that relative paths start from.
        rows: the files in their order.
        left_out: what was found and is no image of a class: path to reason.
        empty: the names of classes that were found without any file.
    """

    name: str
    root: Path
    rows: tuple[Row, ...]
    left_out: dict[str, str]
    empty: tuple[str, ...] = ()


def natural(text: str) -> tuple[Any, ...]:
    """Return what sorts names as people do: digits by their number, letters whatever their case.

    >>> sorted(["b2", "b10", "B1"], key=natural)
    ['B1', 'b2', 'b10']
    """
    parts = re.split(r"(\d+)", text)
    # Numbers stand at odd places, so that like is compared with like.
    return tuple(int(p) if i % 2 else p.casefold() for i, p in enumerate(parts)), text


def spelled(name: str) -> str:
    r"""Return a class's name in one spelling of Unicode, bytes that are no text escaped.

    >>> spelled("cafe\u0301") == "caf\xe9", spelled("caf\udce9")
    (True, 'caf\\xe9')
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def read_list(
    file: str | os.PathLike[str], *, path: str = "path", label: str = "label", split: str = "split"
) -> Listing:
    """Read a list of image files: CSV with a header, tab-separated (`.tsv`), or JSON lines.

    Args:
        file: UTF-8; paths in it are relative to its directory, or absolute.
        path: the column, or key, of the path.
        label: of the class: a text or an integer.
        split: of the split, train, val, valid, validation or test in any case; where no row has
            it, all are train.

    Raises:
        BadArgument: without such a file, for one that is neither, a column that it has not, or a
            row without a value in it; names the line.
    """
    shown = printable(os.fspath(file))
    file = Path(os.path.expanduser(file))
    text = read_bytes(file, "list", at_most=_MOST_BYTES).decode("utf-8-sig", "replace")
    if not text.strip():
        raise BadArgument(f"list: {shown} is empty")
    is_json = text.lstrip().startswith(("{", "["))
    tabs = file.suffix.lower() == ".tsv"
    table = _json_lines(text, shown) if is_json else _csv(text, "\t" if tabs else ",", shown)
    rows = []
    for line, row in table:
        for name in (path, label):
            if name not in row:
                raise unknown(f"list: {shown}, line {line}: column", name, map(str, row))
        place, of = row[path], row[label]
        if not isinstance(place, str) or not place or "\0" in place:
            raise BadArgument(f"list: {shown}, line {line}: {path} is {place!r}; allowed: a path")
        if isinstance(of, bool) or not isinstance(of, str | int) or not str(of).strip():
            raise BadArgument(
                f"list: {shown}, line {line}: {label} is {of!r}; allowed: a text or an integer"
            )
        called = str(row.get(split) or "train")
        if called.casefold() not in SPLITS:
            raise BadArgument(
                f"list: {shown}, line {line}: {split} is {called!r}; allowed: {', '.join(SPLITS)}"
            )
        rows.append(Row(place, spelled(str(of).strip()), SPLITS[called.casefold()]))
    if not rows:
        raise BadArgument(f"list: {shown} has no rows")
    rows.sort(key=lambda row: natural(row.label))  # stable: a class keeps its own order
    return Listing(f"list:{file.name}", file.absolute().parent, tuple(rows), {})


def _csv(text: str, delimiter: str, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            # A short row has None where its values end, a long one has None as a key.
            yield reader.line_num, {str(key): value or "" for key, value in row.items() if key}
    except csv.Error as error:
        raise BadArgument(f"list: {shown}, line {reader.line_num}: {error}") from error


def _json_lines(text: str, shown: str) -> Iterable[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadArgument(f"list: {shown}, line {number}: no JSON ({error})") from error
        if not isinstance(row, dict):
            raise BadArgument(f"list: {shown}, line {number}: allowed: an object, {{...}}")
        yield number, row
