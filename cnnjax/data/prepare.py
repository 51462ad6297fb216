"""Where prepared datasets are kept, and preparing one that is not there yet."""

import contextlib
import difflib
import errno
import importlib.util
import os
import pathlib
import socket
import sys
import tempfile
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

from cnnjax.errors import BadArgument, Failed, missing_extra, unknown

__all__ = ["data_directory", "import_tfds", "list_datasets", "list_prepared", "prepare", "silence"]

_DEFAULT = "~/tensorflow_datasets"

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


def list_datasets() -> list[str]:
    """Return the names of the embedded datasets, which need neither a network nor TensorFlow.

    >>> list_datasets()
    ['digits', 'mnist5k']
    """
    return ["digits", "mnist5k"]


def data_directory(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Return where datasets are kept: the argument, else `$TFDS_DATA_DIR`, else TFDS's default."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or _DEFAULT
    return pathlib.Path(chosen).expanduser().absolute()


def list_prepared(data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names, with `/config` where there is one, of what is prepared in a directory."""
    root = data_directory(data_dir)
    found = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    versions = (path.parent.relative_to(root) for path in found)
    # What a killed preparation left behind is not a dataset.
    whole = (path for path in versions if "incomplete." not in path.as_posix())
    return sorted({path.parent.as_posix() for path in whole})


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
        BadArgument: for a name that TFDS does not know.
        Failed: if the dataset is not there and cannot be prepared; says how to repair that.
    """
    root = data_directory(data_dir)
    tfds = import_tfds()
    with silence():
        if name in list_datasets():
            if data_dir is None and not _may_write(root):
                root = pathlib.Path(_DEFAULT).expanduser()
            return _prepare_embedded(name, root)
        try:
            builder = tfds.builder(name, data_dir=root)
        except tfds.core.DatasetNotFoundError as error:
            known = tfds.list_builders(with_community_datasets=False)
            offered = {*list_datasets(), *list_prepared(root)}
            offered.update(difflib.get_close_matches(name, known, n=3))
            raise unknown("dataset", name, offered) from error
        except ImportError as error:
            raise Failed(
                f"the definition of {name!r} in TFDS needs another package: {_reason(error)}; "
                "pip install it (TensorFlow: pip install tensorflow)"
            ) from error
        except Exception as error:
            raise BadArgument(
                f"dataset: {name!r} cannot be opened in {root}: {_reason(error)}"
            ) from error
        if not builder.is_prepared():
            _download(builder, name, root)
        return builder


def import_tfds() -> Any:
    """Return the module tensorflow_datasets, imported now because that is slow."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing_extra("tensorflow-datasets", "data") from error
    return tfds


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep TFDS off standard output, and quiet altogether unless a terminal shows errors."""
    from absl import logging
    from tensorflow_datasets.core.utils import tqdm_utils

    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        stack.callback(logging.set_verbosity, logging.get_verbosity())
        logging.set_verbosity(logging.ERROR)
        if sys.stderr.isatty():
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        else:
            tqdm_utils.disable_progress_bar()
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


def _prepare_embedded(name: str, root: pathlib.Path) -> Any:
    from cnnjax.data.embedded import EMBEDDED

    builder = EMBEDDED[name](data_dir=root, file_format="array_record")
    if builder.is_prepared():
        return builder
    target = pathlib.Path(builder.data_path)
    if not _may_write(root):
        raise _cannot_write(name, root, PermissionError(errno.EACCES, "it is read-only"))
    try:
        root.mkdir(parents=True, exist_ok=True)
        # TFDS draws its temporary name from `random`, which two processes may have seeded alike.
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=root) as scratch:
            draft = EMBEDDED[name](data_dir=scratch, file_format="array_record")
            draft.download_and_prepare()
            target.parent.mkdir(exist_ok=True)
            try:
                os.rename(draft.data_path, target)
            except OSError:
                # Unless another process was first, with the same data.
                if not (target / "dataset_info.json").is_file():
                    raise
    except OSError as error:
        raise _cannot_write(name, root, error) from error
    return EMBEDDED[name](data_dir=root, file_format="array_record")


def _download(builder: Any, name: str, root: pathlib.Path) -> None:
    from cnnjax.data.load import find_features

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
            f"{name!r} is not prepared in {root}, and preparing it failed: {_reason(error)}. "
            f"Where there is a network, run\n  {repair}\n"
            "or name the directory that has it: data_dir, --data-dir or TFDS_DATA_DIR"
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


def _cannot_write(name: str, root: pathlib.Path, error: OSError) -> Failed:
    return Failed(
        f"cannot prepare {name!r} in {root}: {error.strerror or error}; "
        "name another directory: data_dir, --data-dir or TFDS_DATA_DIR"
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
