"""Files that are written whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cnnjax.errors import Failed

__all__ = ["replacing", "writing"]


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
