"""Preparing a dataset that is not there yet."""

import errno
import importlib.util
import os
import pathlib
import socket
import tempfile
import urllib.parse
import urllib.request
from typing import Any

from cnnjax.data.builder import embedded_builder, open_builder
from cnnjax.data.directory import DEFAULT, data_directory, existing_directory
from cnnjax.data.features import find_features
from cnnjax.data.library import import_tfds, reason, silence
from cnnjax.errors import Failed

__all__ = ["prepare"]

_NOT_WRITABLE = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)


def prepare(name: str, data_dir: str | os.PathLike[str] | None = None) -> Any:
    """Return the TFDS builder of a dataset, prepared first if it is not.

    An embedded dataset is prepared under a temporary name and renamed, so that an interruption
    leaves nothing half-written and two processes may do it at once. Any other is downloaded and
    prepared by TFDS, which does the same. Where `$TFDS_DATA_DIR` is read-only, an embedded dataset
    goes to TFDS's default directory.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows, with config and version
            (`"name/config:1.0.0"`) if wanted.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        BadArgument: for a name that TFDS does not know, or a named directory that does not exist.
        Failed: if the dataset is not there and cannot be prepared; says how to repair that.
    """
    root = existing_directory(data_dir)
    import_tfds()
    with silence():
        embedded = embedded_builder(name, root)
        builder = embedded or open_builder(name, root)
        if builder.is_prepared():
            return builder
        if embedded is None:
            _download(builder, name, root)
            return builder
        if data_dir is None and not _may_write(root):
            root = data_directory(DEFAULT)
        return _prepare_embedded(name, root)


def _prepare_embedded(name: str, root: pathlib.Path) -> Any:
    builder = embedded_builder(name, root)
    assert builder is not None
    if builder.is_prepared():  # in TFDS's default directory, perhaps
        return builder
    target = pathlib.Path(builder.data_path)
    if not _may_write(root):
        raise _cannot_write(name, root, PermissionError(errno.EACCES, "it is read-only"))
    try:
        root.mkdir(parents=True, exist_ok=True)
        # TFDS draws its temporary name from `random`, which two processes may have seeded alike.
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=root) as scratch:
            draft = embedded_builder(name, scratch)
            assert draft is not None
            draft.download_and_prepare()
            target.parent.mkdir(exist_ok=True)
            try:
                os.rename(draft.data_path, target)
            except OSError:
                # Unless another process was first, with the same data.
                if not (target / "dataset_info.json").is_file():
                    raise
    except Failed:
        raise
    except Exception as error:  # what writes the records words a full disk in its own way
        raise _cannot_write(name, root, error) from error
    return embedded_builder(name, root)


def _download(builder: Any, name: str, root: pathlib.Path) -> None:
    find_features(builder)  # a dataset that is of no use is not downloaded
    script = (
        f"import tensorflow_datasets as tfds; tfds.builder({name!r}, data_dir={str(root)!r})"
        ".download_and_prepare(file_format='array_record')"
    )
    repair = f'python -c "{script}"'
    if importlib.util.find_spec("tensorflow") is None:
        repair = f"pip install tensorflow && {repair}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
        _check_network(builder)
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NOT_WRITABLE:
            raise _cannot_write(name, root, error) from error
        if builder.is_prepared():  # another process was first
            return
        raise Failed(
            f"{name!r} is not prepared in {root}, and preparing it failed: {reason(error)}. "
            f"Where there is a network, run `{repair}`, or name the directory that has it: "
            "data_dir, --data-dir or TFDS_DATA_DIR"
        ) from error


def _check_network(builder: Any) -> None:
    """Raise at once if the first host cannot be reached: TFDS would try for three minutes."""
    if urllib.request.getproxies():  # names are then resolved elsewhere
        return
    for url in builder.url_infos:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((parts.hostname, port), timeout=20).close()
            except OSError as error:
                raise ConnectionError(f"cannot reach {parts.hostname} ({error})") from error
            return


def _may_write(root: pathlib.Path) -> bool:
    """Whether a directory lets anybody write; a superuser could, and should not, ignore it."""
    return not root.is_dir() or bool(root.stat().st_mode & 0o222)


def _cannot_write(name: str, root: pathlib.Path, error: Exception) -> Failed:
    return Failed(
        f"cannot prepare {name!r} in {root}: {getattr(error, 'strerror', '') or reason(error)}; "
        "name another directory: data_dir, --data-dir or TFDS_DATA_DIR"
    )
