"""Reading datasets into memory through TFDS, preparing them first where that is needed."""

import contextlib
import difflib
import errno
import os
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument, Failed, missing_extra, unknown

__all__ = ["data_directory", "list_datasets", "list_prepared", "load", "prepare"]

_NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


def list_datasets() -> list[str]:
    """Return the names of the embedded datasets, which need neither a network nor TensorFlow.

    >>> list_datasets()
    ['digits', 'mnist5k']
    """
    return ["digits", "mnist5k"]


def data_directory(data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Return where datasets are kept: the argument, else `$TFDS_DATA_DIR`, else TFDS's default."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(chosen).expanduser().absolute()


def list_prepared(data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names, with `/config` where there is one, of what is prepared in a directory."""
    root = data_directory(data_dir)
    found = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    # The directory of an interrupted preparation is not one.
    names = (path.parent.parent.relative_to(root) for path in found if _finished(path.parent))
    return sorted({name.as_posix() for name in names})


def prepare(name: str, data_dir: str | os.PathLike[str] | None = None) -> Any:
    """Return the TFDS builder of a dataset, prepared first if it is not.

    An embedded dataset is prepared under a temporary name and renamed, so that an interruption
    leaves nothing half-written and two processes may do it at once. Any other is downloaded and
    prepared by TFDS.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows, with config and version
            (`"name/config:1.0.0"`) if wanted.
        data_dir: see `data_directory`.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        BadArgument: for a name that TFDS does not know.
        Failed: if the dataset is not there and cannot be prepared; says how to repair that.
    """
    root = data_directory(data_dir)
    with _silence():
        tfds = _import_tfds()
        from cnnjax.data.embedded import EMBEDDED

        if name in EMBEDDED:
            builder = EMBEDDED[name](data_dir=root, file_format="array_record")
            if not _finished(builder.data_path):
                _prepare_embedded(EMBEDDED[name], root, builder.data_path)
                builder = EMBEDDED[name](data_dir=root, file_format="array_record")
            return builder
        try:
            builder = tfds.builder(name, data_dir=root)
        except tfds.core.DatasetNotFoundError as error:
            known = tfds.list_builders(with_community_datasets=False)
            near = difflib.get_close_matches(name, known, n=3)
            raise unknown(
                "dataset", name, {*list_datasets(), *list_prepared(root), *near}
            ) from error
        except Exception as error:
            raise BadArgument(f"dataset: {name!r} does not open in {root}: {error}") from error
        if not _finished(builder.data_path):
            _features(builder)  # before gigabytes are downloaded in vain
            _download(builder, name, root)
        return builder


def load(
    name: str, split: str = "train", data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """Read one split of a dataset into memory, in the order of its records.

    Args:
        name: `"mnist5k"`, `"digits"` or any name that TFDS knows.
        split: `"train"`, `"test"`, what else the dataset has, or a slice of TFDS's own such as
            `"train[:1000]"` or `"train[:10%]"`.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.

    Returns:
        Images `[N, H, W, C]` uint8, labels `[N]` int32 and the names of the classes.

    Raises:
        BadArgument: for an unknown dataset or split, an empty split, a dataset without an image
            or a label, or with images of several sizes.
        Failed: if the dataset cannot be prepared or read; says how to repair that.
    """
    builder = prepare(name, data_dir)
    with _silence():
        image, label, class_names = _features(builder)
        number = _split_size(builder, name, split)
        images, labels = _read(builder, name, split, number, image, label)
    return Dataset(name, split, images, labels, class_names)


def _import_tfds() -> Any:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing_extra("tensorflow-datasets", "data") from error
    return tfds


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what TFDS prints, logs and warns to itself, unless somebody watches a terminal."""
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")
        if not sys.stderr.isatty():
            try:
                from absl import logging
                from tensorflow_datasets.core import logging as _  # noqa: F401
                from tensorflow_datasets.core.utils import tqdm_utils
            except ImportError:
                yield
                return
            verbosity = logging.get_verbosity()
            stack.callback(logging.set_verbosity, verbosity)
            logging.set_verbosity(logging.ERROR)
            stack.callback(setattr, tqdm_utils, "_active", tqdm_utils._active)
            tqdm_utils.disable_progress_bar()
            stack.enter_context(
                contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w")))
            )
        yield


def _finished(directory: Any) -> bool:
    path = pathlib.Path(directory)
    return (path / "dataset_info.json").is_file() and not any(
        part.startswith("incomplete.") for part in path.parts[-4:]
    )


def _prepare_embedded(builder_class: Any, root: pathlib.Path, target: Any) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=root) as scratch:
            builder = builder_class(data_dir=scratch, file_format="array_record")
            builder.download_and_prepare(download_dir=os.path.join(scratch, "downloads"))
            pathlib.Path(target).parent.mkdir(exist_ok=True)
            try:
                os.rename(builder.data_path, target)
            except OSError:
                if not _finished(target):  # another process was first, with the same data
                    raise
    except OSError as error:
        raise _cannot_write(builder_class.name, root, error) from error


def _cannot_write(name: str, root: pathlib.Path, error: OSError) -> Failed:
    return Failed(
        f"cannot prepare {name!r} in {root}: {error.strerror or error}; give another directory "
        "as data_dir, --data-dir or TFDS_DATA_DIR"
    )


def _download(builder: Any, name: str, root: pathlib.Path) -> None:
    command = (
        f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}', "
        f"data_dir='{root}').download_and_prepare(file_format='array_record')\""
    )
    repair = (
        f"where there is a network run\n  {command}\n"
        "or name the directory that has it as data_dir, --data-dir or TFDS_DATA_DIR"
    )
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:
        if _finished(builder.data_path):  # another process was first
            return
        if isinstance(error, OSError) and error.errno in _NO_WRITING:
            raise _cannot_write(name, root, error) from error
        missing = isinstance(error, ImportError) and "tensorflow" in str(error)
        if missing:
            repair = f"TFDS prepares it with TensorFlow: pip install tensorflow, then {repair}"
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise Failed(
            f"{name!r} is not prepared in {root}, and preparing it failed ({reason}); {repair}"
        ) from error


def _features(builder: Any) -> tuple[str, str, tuple[str, ...]]:
    """Return the keys of a dataset's image and label, and the names of its classes."""
    tfds = _import_tfds()
    features = builder.info.features
    flat = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    supervised = builder.info.supervised_keys or ()

    def find(kind: Any, usual: str, what: str) -> str:
        keys = [key for key, feature in flat.items() if isinstance(feature, kind)]
        for key in (*(key for key in supervised if isinstance(key, str)), usual, *keys[:1]):
            if key in keys:
                return key
        shown = ", ".join(f"{key}: {type(value).__name__}" for key, value in flat.items())
        raise BadArgument(
            f"dataset: {builder.info.full_name!r} has no {what}, so it is none to classify images "
            f"with (its features: {shown or features})"
        )

    image = find(tfds.features.Image, "image", "image")
    label = find(tfds.features.ClassLabel, "label", "class label")
    if flat[image].np_dtype != np.uint8:
        raise BadArgument(
            f"dataset: the images of {builder.info.full_name!r} are {flat[image].np_dtype}, "
            "only uint8 is allowed"
        )
    return image, label, tuple(flat[label].names)


def _split_size(builder: Any, name: str, split: str) -> int:
    splits = builder.info.splits
    try:
        number = int(splits[split].num_examples)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        base = str(split).partition("[")[0]
        if base not in splits:
            raise unknown("split", split, splits) from error
        raise BadArgument(
            f"split: {split!r} is no slice of {base!r} of {name!r} "
            f"({splits[base].num_examples} images); allowed are such as "
            f"'{base}[:1000]', '{base}[10%:]'"
        ) from error
    if number == 0:
        raise BadArgument(f"split: {split!r} of {name!r} is empty")
    return number


def _read(
    builder: Any, name: str, split: str, number: int, image: str, label: str
) -> tuple[np.ndarray, np.ndarray]:
    images, labels = None, np.empty(number, np.int32)
    try:
        source = builder.as_data_source(split)
        for start in range(0, number, 1024):
            stop = min(start + 1024, number)
            for index, record in enumerate(source.__getitems__(list(range(start, stop))), start):
                pixels = record[image]
                if images is None:
                    images = np.empty((number, *pixels.shape), np.uint8)
                if pixels.shape != images.shape[1:]:
                    raise BadArgument(
                        f"dataset: the images of {name!r} differ in size: {pixels.shape} at index "
                        f"{index} of {split!r}, {images.shape[1:]} before; all must have one size"
                    )
                images[index] = pixels
                labels[index] = record[label]
    except NotImplementedError as error:
        raise Failed(
            f"{name!r} is in {builder.data_path} in the format {builder.info.file_format.value}, "
            "which only TensorFlow reads; prepare it in another directory with "
            "download_and_prepare(file_format='array_record')"
        ) from error
    except ImportError as error:
        raise missing_extra(error.name or "pillow", "data") from error
    except BadArgument:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Failed(
            f"{name!r} in {builder.data_path} is damaged ({reason}); delete that directory and "
            "prepare it again"
        ) from error
    assert images is not None
    return images, labels
