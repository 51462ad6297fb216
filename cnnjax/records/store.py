"""A directory of results that is complete at every moment, whatever ends the process.

    results.json   all but arrays
    NAME.npz       arrays; written before the entry that names them, which holds their SHA-256

Every file is written under a temporary name and renamed, one process writes at a time, and what is
read is checked whole before it is used.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from cnnjax.errors import BadArgument, Failed
from cnnjax.files import decoded, locked, printable, read_bytes, replacing, writing

__all__ = ["RESULTS", "Kind", "Store", "as_json", "difference", "read"]

RESULTS = "results.json"

# More than any run leaves: a bound on what a damaged or foreign file can take of memory.
_MOST_BYTES, _MOST_ARRAY_BYTES = 2**28, 2**30


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a directory of results is of.

    Attributes:
        name: in words, for errors: "comparison".
        entry: of results.json, which those of other kinds have not.
        check: raises `Failed` unless content is whole; its second argument says of what file.
        beside: patterns of the files that are written beside results.json.
        format: the entry `format`; files with another are of another version.
    """

    name: str
    entry: str
    check: Callable[[Mapping[str, Any], str], None]
    beside: tuple[str, ...] = ()
    format: int = 1


def read(directory: str | Path, kind: Kind) -> dict[str, Any]:
    """Return what results.json of a directory holds, every field of it checked.

    Raises:
        BadArgument: if the directory has no results, or of another kind or format.
        Failed: if the file cannot be read, or a field is not what it must be.
    """
    path = Path(directory) / RESULTS
    content = decoded(read_bytes(path, "out", at_most=_MOST_BYTES), dict[str, Any], str(path))
    if content.get("format") != kind.format or kind.entry not in content:
        shown = printable(str(path))
        raise BadArgument(f"out: {shown} is no {kind.name}'s, or of another version of cnnjax")
    kind.check(content, str(path))
    return content


class Store:
    """One directory of results, or the same in memory only.

    Attributes:
        path: of the directory; None for nowhere.
        kind: of the results.
        content: of results.json.
    """

    def __init__(self, path: Path | None, kind: Kind, content: dict[str, Any]) -> None:
        self.path, self.kind, self.content = path, kind, content

    @classmethod
    def at(cls, path: Path | None, kind: Kind, fresh: Mapping[str, Any]) -> Self:
        """Return what a directory has, or `fresh` where it is new or empty.

        Raises:
            BadArgument: if it holds something else, or is no directory.
            Failed: if what it holds cannot be read, or is damaged.
        """
        if path is not None and _holds_results(path, kind):
            return cls(path, kind, read(path, kind))
        return cls(path, kind, {"format": kind.format, **fresh})

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        path: Path | None,
        kind: Kind,
        fresh: Mapping[str, Any],
        fits: Callable[[Mapping[str, Any]], None],
    ) -> Iterator[Self]:
        """Hold a directory, for which `fits` raises unless its content may go on.

        Nothing is written to a directory that does not fit, not even the lock.
        """
        fits(cls.at(path, kind, fresh).content)
        with contextlib.nullcontext() if path is None else locked(path):
            # Read again: until the lock was held another process may have written.
            store = cls.at(path, kind, fresh)
            fits(store.content)
            yield store

    def write(self) -> None:
        """Write results.json, in which nothing may be that could not be read again."""
        if self.path is None:
            return
        self.kind.check(self.content, str(self.path / RESULTS))
        text = json.dumps(self.content, indent=1, allow_nan=False) + "\n"
        with replacing(self.path / RESULTS) as stream:
            stream.write(text.encode())

    def clear(self) -> None:
        """Clear away what a killed process left half-written."""
        if self.path is not None:
            with writing(self.path):
                for left in [left for form in _half(self.kind) for left in self.path.glob(form)]:
                    left.unlink()

    def put(self, key: str, value: Any) -> None:
        """Replace one entry of results.json and write; as it was where that fails."""
        before = self.content.get(key)
        self.content[key] = value
        try:
            self.write()
        except BaseException:
            self.content[key] = before
            raise

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Write arrays into a file of the directory and return its SHA-256, in hexadecimal."""
        assert self.path is not None
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **dict(arrays))
        with replacing(self.path / name) as stream:
            stream.write(content.getvalue())
        return hashlib.sha256(content.getvalue()).hexdigest()

    def load_arrays(self, name: str, sha256: str | None) -> dict[str, np.ndarray]:
        """Return what `save_arrays` wrote; a digest of None, as version 0.1.0 had, fits all.

        Raises:
            BadArgument: if the file is missing, or no regular file.
            Failed: if it is another one.
        """
        assert self.path is not None
        path = self.path / name
        content = read_bytes(path, "out", at_most=_MOST_ARRAY_BYTES)
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise Failed(f"{printable(str(path))}: damaged: its SHA-256 is not that of its entry")
        return _arrays(content, str(path))


def _holds_results(path: Path, kind: Kind) -> bool:
    if not path.is_dir() and (path.exists() or path.is_symlink()):
        raise BadArgument(f"out: {printable(str(path))} is not a directory")
    with writing(path):
        inside = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    half = {name for name in inside if any(map(Path(name).match, _half(kind)))}
    others = inside - {".lock"} - half
    if others and RESULTS not in inside:
        shown = printable(", ".join(sorted(others)[:3]))
        raise BadArgument(
            f"out: {printable(str(path))} holds no {kind.name} but {shown}; allowed: a new or "
            f"empty directory, or one of this {kind.name}"
        )
    return RESULTS in inside


def _half(kind: Kind) -> list[str]:
    """Return patterns of what a killed process may leave: the temporary names of `replacing`."""
    whole = [Path(form) for form in (RESULTS, *kind.beside)]
    return [str(form.parent / f".{form.name}.*.tmp") for form in whole]


def _arrays(content: bytes, what: str) -> dict[str, np.ndarray]:
    """Read what `numpy.savez` wrote; nothing is unpacked that takes more memory than its file."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise ValueError("it is compressed")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return dict(stored)
    except Exception as error:  # zipfile and numpy raise a dozen kinds for damaged bytes
        raise Failed(f"{printable(what)}: damaged: {printable(str(error))}") from error


def difference(found: Any, wanted: Any, name: str) -> str:
    """Return in words the first place where two JSON values differ; empty if they do not.

    >>> difference({"LeNet": {"padding": 2}}, {"LeNet": {"padding": 0}}, "'a':")
    "'a': LeNet.padding is 2, not 0"
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        gone, new = (sorted(a.keys() - b.keys()) for a, b in ((found, wanted), (wanted, found)))
        if gone and new:
            return f"{name} {' and '.join(gone)} there, {' and '.join(new)} here"
        if gone or new:
            return f"{name} {(gone or new)[0]} is {'only there' if gone else 'only here'}"
        joint = " " if name.endswith((":", "its")) else "."
        words = (difference(found[key], wanted[key], f"{name}{joint}{key}") for key in wanted)
        return next(filter(None, words), "")
    return "" if found == wanted else f"{name} is {found!r}, not {wanted!r}"


def as_json(value: Any) -> Any:
    """Return a value as JSON gives it back: lists for tuples, null for what is not finite."""
    if isinstance(value, Mapping):
        return {as_json(str(key)): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return as_json(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):  # half of a surrogate pair is no text, but may be part of a path
        return value.encode("utf-8", "backslashreplace").decode()
    return value
