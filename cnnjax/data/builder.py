"""Finding the TFDS builder that a name means, of whatever version is prepared."""

import difflib
import os
import pathlib
from typing import Any

from cnnjax.data.directory import list_datasets, list_prepared
from cnnjax.data.library import import_tfds, reason
from cnnjax.errors import BadArgument, Failed, unknown

__all__ = ["embedded_builder", "open_builder"]


def embedded_builder(name: str, root: pathlib.Path | str) -> Any | None:
    """Return the builder of an embedded dataset, prepared or not; None for another name.

    Raises:
        BadArgument: for a config or a version that it does not have.
        Failed: if what is prepared is damaged.
    """
    base, colon, version = name.partition(":")
    base, slash, _ = base.partition("/")
    if base not in list_datasets():
        return None
    from cnnjax.data.embedded import EMBEDDED

    try:
        builder = EMBEDDED[base](data_dir=root, file_format="array_record")
    except Exception as error:  # of several kinds, for what is prepared and damaged
        raise Failed(
            f"{base!r} in {root} is damaged: {reason(error)}; delete it to prepare it again"
        ) from error
    if slash or (colon and version != str(builder.version)):
        raise BadArgument(
            f"dataset: there is no {name!r}; allowed: {base}, {base}:{builder.version}"
        )
    return builder


def open_builder(name: str, root: pathlib.Path) -> Any:
    """Return the builder of a dataset that is not embedded, prepared or not.

    Where the version that TFDS's code has is not prepared in `root` but another is, it is that.

    Raises:
        BadArgument: for what is no name, or a dataset, a config or a version that TFDS does not
            know.
        Failed: if its definition needs another package.
    """
    tfds = import_tfds()
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        known = tfds.list_builders(with_community_datasets=False)
        offered = {*list_datasets(), *list_prepared(root)}
        offered.update(difflib.get_close_matches(name, known, n=3))
        raise unknown("dataset", name, offered) from error
    except ImportError as error:
        prepared = _from_files(tfds, name, root)
        if prepared is not None:
            return prepared
        raise Failed(
            f"the definition of {name!r} in TFDS needs another package: {reason(error)}; "
            "pip install it (TensorFlow: pip install tensorflow)"
        ) from error
    except Exception as error:  # TFDS raises several kinds for names that it cannot make out
        raise _no_builder(tfds, name, error) from error
    if builder.is_prepared() or ":" in name:
        return builder
    return _from_files(tfds, name, root) or builder


def _from_files(tfds: Any, name: str, root: pathlib.Path) -> Any | None:
    """Return the builder of what is prepared, which needs no definition; None where nothing is."""
    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=root)
    except Exception:  # nothing of that name is prepared, or nothing that TFDS makes sense of
        return None


def _no_builder(tfds: Any, name: str, error: Exception) -> BadArgument:
    """Return what is wrong with a name that TFDS gives no builder for."""
    if "Parsing builder name" in str(error):
        hint = ""
        if "\0" not in name and os.path.isdir(os.path.expanduser(name)):
            hint = "; a directory that holds prepared datasets goes to data_dir or --data-dir"
        return BadArgument(
            f"dataset: {name!r} is no name of a dataset; allowed: {', '.join(list_datasets())}, "
            f"and of TFDS NAME[/CONFIG][:VERSION]{hint}"
        )
    base, _, config = name.partition(":")[0].partition("/")
    try:
        configs = list(tfds.builder_cls(base).builder_configs)
    except Exception:  # prepared by somebody's own definition, and damaged
        configs = []
    if config and configs and config not in configs:
        return unknown(f"config of {base!r}", config, configs)
    return BadArgument(f"dataset: {name!r} cannot be opened: {reason(error)}")
