"""Files that are written whole or not at all, and read only once they are known to be sound."""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from cnnjax.errors import BadArgument, Failed

__all__ = [
    "Held",
    "checked",
    "decoded",
    "locked",
    "mistaken",
    "printable",
    "read_bytes",
    "reading",
    "replacing",
    "writing",
]

Form = TypeVar("Form")


class Held(Failed):
    """Somebody else holds a directory that is to be written to."""


@contextlib.contextmanager
def writing(path: str | Path, argument: str = "out") -> Iterator[None]:
    """Raise `Failed`, naming the argument that gave the path, where the system cannot write."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed(
            f"{argument}: cannot write to {path}: {reason}; what is there is kept"
        ) from error


@contextlib.contextmanager
def replacing(path: str | Path, argument: str = "out") -> Iterator[BinaryIO]:
    """Yield a stream for a file's new content, which takes its name when the block has ended.

    Whatever ends the block early, the file stays what it was, or absent. Its directory is made. The
    temporary file is beside it, hidden, and ends in `.tmp`.

    Args:
        path: of the file.
        argument: the name of the argument that it came from, for the error.

    Raises:
        Failed: where it cannot be written.
    """
    path = Path(path)
    with writing(path, argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
        )
        try:
            with os.fdopen(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())  # complete on disk before it takes the name
            os.chmod(temporary, 0o644)  # mkstemp hides files from everybody else
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def locked(directory: str | Path, argument: str = "out") -> Iterator[None]:
    """Hold a directory while the block runs; whoever else wants it meanwhile is refused.

    The system lets go of it when the process dies, however it dies. The directory is made, and an
    empty file `.lock` stays in it: to remove it would take it from under the next holder.

    Args:
        directory: what nobody else is to write to.
        argument: the name of the argument that it came from, for the error.

    Raises:
        Held: where somebody holds it, in this process or another.
        Failed: where it cannot be written to.
    """
    path = Path(directory) / ".lock"
    with writing(directory, argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o644)
    try:
        with writing(directory, argument):
            taken = _take(descriptor)
        if not taken:
            shown = printable(str(directory))
            raise Held(f"{argument}: another run is writing to {shown}; choose another directory")
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Return whether the file was free; it is ours until its descriptor is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def reading(path: str | Path, argument: str) -> Iterator[BinaryIO]:
    """Yield a stream of a regular file's content; a pipe or a device would never end.

    Args:
        path: of the file.
        argument: the name of the argument that it came from, for the error.

    Raises:
        BadArgument: where there is no file, or what is there is no regular file.
        Failed: where it cannot be read.
    """
    shown = printable(str(path))
    try:
        # Without O_NONBLOCK opening a pipe waits for its writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise BadArgument(f"{argument}: there is no file {shown!r}") from None
    except ValueError as error:  # a NUL in the path
        raise BadArgument(f"{argument}: {shown!r} is no path of a file ({error})") from None
    except OSError as error:
        raise Failed(f"{argument}: cannot read {shown!r}: {error.strerror or error}") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise BadArgument(f"{argument}: {shown!r} is {kind}; allowed: a regular file")
    with os.fdopen(descriptor, "rb") as stream:
        yield stream


def read_bytes(path: str | Path, argument: str, *, at_most: int) -> bytes:
    """Return the content of a regular file of `at_most` bytes; raises as `reading`."""
    with reading(path, argument) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > at_most:
            raise Failed(
                f"{argument}: {printable(str(path))!r} has {size:,} bytes, which is more than what "
                f"belongs there ever has ({at_most:,})"
            )
        try:
            return stream.read()
        except OSError as error:
            reason = error.strerror or error
            raise Failed(f"{argument}: cannot read {printable(str(path))!r}: {reason}") from error


def decoded(content: bytes | str, form: type[Form], what: str) -> Form:
    """Return JSON as a value of a type, every field of it checked.

    Args:
        content: the JSON text.
        form: what it must be: a dataclass, a TypedDict, `list[int]`, ...; see msgspec's
            documentation for the types that it knows.
        what: a few words for the error, such as the file's path.

    Raises:
        Failed: names the first place that differs.

    >>> decoded('{"a": [1, 2]}', dict[str, list[int]], "example")
    {'a': [1, 2]}
    """
    try:
        return msgspec.json.decode(content, type=form)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(what, error) from error


def checked(value: Any, form: type[Form], what: str) -> Form:
    """Return what JSON gave, such as a part of `decoded`'s, as a value of a type; raises as it."""
    try:
        return msgspec.convert(value, type=form)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(what, error) from error


def _damaged(what: str, error: Exception) -> Failed:
    return Failed(
        f"{printable(what)}: damaged, or written by another version ({printable(str(error))})"
    )


def printable(text: str) -> str:
    r"""Return text from outside with what a terminal would obey, or cannot show, escaped.

    >>> print(printable("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def mistaken(beginning: bytes) -> str | None:
    """Return what a file really is that was downloaded in the place of another, or None.

    >>> mistaken(b"<!DOCTYPE html><html>")
    'a web page, not the file: download it again, by the link to the file itself'
    """
    if beginning.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a Git LFS pointer, not the file: `git lfs pull` fetches what it points to"
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "a web page, not the file: download it again, by the link to the file itself"
    return None
