"""Where prepared datasets are kept, and which are there."""

import os
import pathlib

from cnnjax.errors import BadArgument, Failed

__all__ = ["DEFAULT", "data_directory", "existing_directory", "list_datasets", "list_prepared"]

DEFAULT = "~/tensorflow_datasets"
"""TFDS's own."""

_VARIABLE = "TFDS_DATA_DIR"


def list_datasets() -> list[str]:
    """Return the names of the embedded datasets, which need neither a network nor TensorFlow.

    >>> list_datasets()
    ['digits', 'mnist5k']
    """
    return ["digits", "mnist5k"]


def data_directory(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Return where datasets are kept: the argument, else `$TFDS_DATA_DIR`, else TFDS's default.

    Raises:
        BadArgument: for what is no path.
        Failed: where there is no home directory to take the default from.
    """
    chosen = data_dir or os.environ.get(_VARIABLE) or DEFAULT
    if "\0" in os.fspath(chosen):
        raise BadArgument(f"data_dir: {os.fspath(chosen)!r} is no path")
    try:
        return pathlib.Path(chosen).expanduser().absolute()
    except RuntimeError as error:
        raise Failed(
            f"there is no home directory for {os.fspath(chosen)!r}; name the directory of the "
            f"datasets: data_dir, --data-dir or {_VARIABLE}"
        ) from error


def existing_directory(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Return `data_directory`, which exists unless it is the default: only that is made.

    A name that was mistyped would otherwise become a second, empty directory of datasets.

    Raises:
        BadArgument: where there is no such directory; and as `data_directory`.
    """
    root = data_directory(data_dir)
    named = "data_dir" if data_dir else _VARIABLE if os.environ.get(_VARIABLE) else ""
    if named and not root.is_dir():
        what = "is no directory" if root.exists() else "does not exist; make it, or correct it"
        raise BadArgument(f"{named}: {str(root)!r} {what}")
    return root


def list_prepared(data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names, with `/config` where there is one, of what is prepared in a directory."""
    root = data_directory(data_dir)
    found = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    versions = (path.parent.relative_to(root) for path in found)
    # What a killed preparation left behind is not a dataset.
    whole = (path for path in versions if "incomplete." not in path.as_posix())
    return sorted({path.parent.as_posix() for path in whole})
