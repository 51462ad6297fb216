"""Checkpoints on disk: what is in one, and that it is this run's and whole when it is read.

Orbax writes them, a directory each under the name of its step, which appears under that name only
when it is complete. Besides the arrays there is a text of the run's identity, its history and a
digest of every array and of itself: what has changed in one bit is refused. What Orbax cannot write
is an array without elements; there is none of those in the file.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np

from cnnjax.errors import BadArgument, Failed
from cnnjax.files import checked, printable, writing
from cnnjax.train.placement import replicated
from cnnjax.train.plan import Plan
from cnnjax.train.same import check_same
from cnnjax.train.standing import Standing
from cnnjax.train.state import TrainState

__all__ = [
    "CHECKPOINTS",
    "path_of",
    "prepare",
    "remove_unfinished",
    "restore",
    "resumed",
    "saved_steps",
    "taken_off",
    "write_checkpoint",
]

CHECKPOINTS = "checkpoints"
"""The directory of the checkpoints, in that of the run."""

# What versions before this format wrote, a file in the directory of the run.
_OLD = "checkpoint.safetensors"

# 1, 2 and 3 were single files.
_FORMAT = 4

# History and identity, as text, are smaller: 200 bytes an epoch, and a few kilobytes.
_MOST_TEXT = 2**28

_OF_NO_RUN = ("epoch", "seconds", "images_per_second")


class _Epoch(TypedDict):
    """What every entry of a history has."""

    epoch: int
    train_loss: float | list[float]
    train_accuracy: float | list[float]
    seconds: float
    images_per_second: float


class _About(TypedDict):
    """The text of a checkpoint."""

    format: int
    run: Any
    history: list[dict[str, Any]]
    seconds: float
    failures: dict[str, tuple[int, float]]
    arrays: dict[str, str]


def prepare(directory: Path) -> None:
    """Make the directory and write to it once, so that a run does not learn late that it cannot.

    Checkpoints whose writing was cut off are removed: the caller holds the directory.

    Raises:
        Failed: where it cannot be made or written to.
    """
    with writing(directory, "checkpoint_dir"):
        place = directory / CHECKPOINTS
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, prefix=".tried."):
            pass
        remove_unfinished(place)


def remove_unfinished(place: Path) -> None:
    """Remove what was begun in a directory of checkpoints and never completed."""
    for path in place.iterdir():
        if "-tmp" in path.name:
            shutil.rmtree(path, ignore_errors=True)


def saved_steps(directory: Path) -> list[int]:
    """Return after which steps of a run there are checkpoints, in order."""
    place = directory / CHECKPOINTS
    names = os.listdir(place) if place.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())


def path_of(directory: Path, step: int) -> Path:
    """Return where the checkpoint after a step is."""
    return directory / CHECKPOINTS / f"{step:09d}"


def taken_off(standing: Standing) -> dict[str, np.ndarray]:
    """Return copies of all arrays of a standing, by name, which the next step cannot touch."""
    arrays = {name: np.array(leaf, copy=True) for name, leaf in _named(standing.state)}
    return arrays | {f"seen.{name}": np.array(v) for name, v in standing.seen.items()}


def write_checkpoint(
    path: Path, arrays: dict[str, np.ndarray], standing: Standing, run: dict[str, Any]
) -> None:
    """Write a checkpoint, which appears under its path when it is complete and on disk.

    Args:
        path: of `path_of`.
        arrays: of `taken_off`.
        standing: the rest of it.
        run: of `cnnjax.train.same.identity`.
    """
    import orbax.checkpoint as ocp

    about = {
        "format": _FORMAT,
        "run": run,
        "history": [_as_json(entry) for entry in standing.history],
        "seconds": standing.seconds,
        "failures": {str(each): list(why) for each, why in standing.failures.items()},
        "arrays": {name: _digest(array) for name, array in arrays.items()},
    }
    about = json.loads(json.dumps(about))
    written = {name: array for name, array in arrays.items() if array.size}
    writer = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
    try:
        writer.save(
            path.absolute(),
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(written),
                about=ocp.args.JsonSave(about | {"sha256": _digest_of(about)}),
            ),
            force=True,
        )
    finally:
        writer.close()


def restore(
    directory: Path, template: TrainState, run: dict[str, Any], many: bool = False
) -> Standing | None:
    """Return where a run stood when it was saved last, or None where it never was.

    Args:
        directory: may not exist.
        template: a state of the same run, for its tree.
        run: of `cnnjax.train.same.identity`.
        many: whether it is several runs.

    Raises:
        BadArgument: if the checkpoint is another run's, when it names what differs, or of another
            version, or if what is there is no checkpoint.
        Failed: if it cannot be read, or is not what was written.
    """
    expected = {name: (str(leaf.dtype), np.shape(leaf)) for name, leaf in _named(template)}
    if (directory / _OLD).exists():
        raise BadArgument(
            f"checkpoint_dir: {printable(str(directory / _OLD))} cannot be resumed: an earlier "
            "version of cnnjax wrote it; choose another directory or remove it"
        )
    steps = saved_steps(directory)
    if not steps:
        return None
    path = path_of(directory, steps[-1])
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(template))
    what = f"checkpoint {path}"
    _check_files(path, at_most=2 * size + _MOST_TEXT)
    found, about = _read(path, what)
    check_same(about["run"], run, path)
    state = {name: array for name, array in found.items() if not name.startswith("seen.")}
    seen = {n.removeprefix("seen."): array for n, array in found.items() if n not in state}
    there = {name: (str(array.dtype), array.shape) for name, array in state.items()}
    for name, (dtype, shape) in expected.items():
        if 0 in shape and name in about["arrays"]:
            there[name], state[name] = (dtype, shape), np.zeros(shape, dtype)
    if expected != there:
        names = sorted(set(expected.items()) ^ set(there.items()))[:2]
        raise BadArgument(f"checkpoint_dir: {path} has another state than this run: {names}")
    # Copies: the step donates its state, and jax may share memory with an array of numpy's.
    leaves = [jax.numpy.array(state[name], copy=True) for name in expected]
    return Standing(
        jax.tree.unflatten(jax.tree.structure(template), leaves),
        [_as_entry(entry, many) for entry in about["history"]],
        seen,
        about["seconds"],
        {int(each): why for each, why in about["failures"].items()},
    )


def resumed(directory: Path, standing: Standing, run: dict[str, Any], plan: Plan) -> Standing:
    """Return where a run was saved last, on its devices, or where it stands: at its beginning.

    Arguments as of `restore`, which it raises as.
    """
    saved = restore(directory, standing.state, run, plan.many)
    if saved is None:
        return standing
    return dataclasses.replace(saved, state=jax.device_put(saved.state, replicated(plan.mesh)))


def _read(path: Path, what: str) -> tuple[dict[str, np.ndarray], _About]:
    """Return the arrays and the text of a checkpoint, none of which has changed."""
    import orbax.checkpoint as ocp

    damaged = f"{printable(what)}: damaged: it is not what was written"
    reader = ocp.Checkpointer(ocp.CompositeCheckpointHandler())
    try:
        parts = ocp.args.Composite(state=ocp.args.PyTreeRestore(), about=ocp.args.JsonRestore())
        found = reader.restore(path.absolute(), args=parts)
        state, about = dict(found.state), dict(found.about)
        seal = about.pop("sha256", None)
    except Exception as error:  # of Orbax, TensorStore, json: whatever damage leads to
        words = str(error).strip().split("\n")[0][:200]
        raise Failed(f"{damaged} ({printable(words)})") from error
    finally:
        reader.close()
    if seal != _digest_of(about):
        raise Failed(damaged)
    if about.get("format") != _FORMAT:
        raise BadArgument(
            f"checkpoint_dir: {printable(str(path))} cannot be resumed: its format is "
            f"{about.get('format')}, this version of cnnjax reads {_FORMAT}; choose another "
            "directory or remove it"
        )
    text = checked(about, _About, what)
    checked(text["history"], list[_Epoch], what)
    arrays = {name: np.asarray(array) for name, array in state.items()}
    for name, digest in text["arrays"].items():
        if name in arrays and _digest(arrays[name]) != digest:
            raise Failed(f"{damaged} ({name})")
    if arrays.keys() - text["arrays"].keys():
        raise Failed(damaged)
    return arrays, text


def _check_files(path: Path, at_most: int) -> None:
    """Raise unless a path is a directory of regular files of so many bytes together."""
    total, shown = 0, printable(str(path))
    for each in [path, *path.rglob("*")]:
        status = each.lstat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)) or (
            each == path and not stat.S_ISDIR(status.st_mode)
        ):
            raise BadArgument(
                f"checkpoint_dir: {printable(str(each))} is no file of a checkpoint; allowed: a "
                "directory of regular files"
            )
        total += status.st_size
    if total > at_most:
        raise Failed(
            f"checkpoint_dir: {shown} has {total:,} bytes, which is more than what belongs there "
            f"ever has ({at_most:,})"
        )


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def _digest_of(about: Any) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _as_json(entry: dict[str, Any]) -> dict[str, Any]:
    return {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in entry.items()}


def _as_entry(entry: dict[str, Any], many: bool) -> dict[str, Any]:
    if not many:
        return entry
    return {n: v if n in _OF_NO_RUN else np.array(v) for n, v in entry.items()}


def _named(state: TrainState) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        yield jax.tree_util.keystr(path), leaf
