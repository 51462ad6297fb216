"""Checkpoints: a state and its history in one file that is always complete.

The file is safetensors, written by the few lines here rather than by Orbax: a run of this package
fits on one host, one file renamed into place is atomic where a directory of files is not, it is
read without knowing the tree, and importing it costs nothing. It carries a digest of its own bytes:
what has changed in one bit is refused.
"""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np

from cnnjax.data.source import Source
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import checked, printable, read_bytes, replacing, writing
from cnnjax.tensors import DTYPES, metadata_of, sealed, unsealed
from cnnjax.train.hyper import Hyper
from cnnjax.train.identity import describe, fingerprint
from cnnjax.train.recipe import Recipe
from cnnjax.train.state import TrainState
from cnnjax.typing import Key

__all__ = ["CHECKPOINT", "describe", "identity", "prepare", "restore", "save_checkpoint"]

CHECKPOINT = "checkpoint.safetensors"

# 1, which had no number, was that of cnnjax 0.1.0: without a digest, and models by their names.
# 2 had recipes by names.
_FORMAT = 3

# History and identity, as text, are smaller: 200 bytes an epoch, and a few kilobytes.
_MOST_TEXT = 2**28


class _Epoch(TypedDict):
    """What every entry of a history has."""

    epoch: int
    train_loss: float
    train_accuracy: float
    seconds: float
    images_per_second: float


def identity(
    model: Any,
    recipe: Recipe,
    hyper: Hyper,
    key: Key,
    train_set: Source,
    validation: Source | None,
    start: dict[str, Any],
) -> dict[str, Any]:
    """Return what makes a run this run, as JSON: equal for equal runs in any process.

    `start` is what it starts from besides the key: arrays by name, `{}` for none.

    Raises:
        BadArgument: for a model, or a value of the recipe, that `describe` refuses.
    """
    return {
        "model": describe(model),
        "recipe": describe(recipe, where="recipe"),
        "hyper": describe(dataclasses.replace(hyper, **hyper.to_dict()), where="hyper"),
        "key": [str(jax.random.key_impl(key)), jax.random.key_data(key).tolist()],
        "train_set": train_set.fingerprint(),
        "validation": None if validation is None else validation.fingerprint(),
        "start": fingerprint(start) if start else None,
    }


def prepare(directory: Path) -> None:
    """Make the directory and write to it once, so that a run does not learn late that it cannot.

    Raises:
        Failed: where it cannot be made or written to.
    """
    with writing(directory, "checkpoint_dir"):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=f".{CHECKPOINT}."):
            pass


def save_checkpoint(
    directory: Path, state: TrainState, history: list[dict[str, Any]], run: dict[str, Any]
) -> None:
    """Write a state, its history and its run's identity, in place of the one before.

    The new file is complete on disk before it takes the old one's name. Equal runs write equal
    tensors; seconds, which are in the history, differ.

    Raises:
        Failed: where it cannot be written; the one before stays.
    """
    tensors = {name: np.asarray(leaf) for name, leaf in _named(state)}
    texts = {"run": json.dumps(run), "history": json.dumps(history), "format": str(_FORMAT)}
    content = sealed(tensors, texts)
    with replacing(directory / CHECKPOINT, "checkpoint_dir") as stream:
        stream.write(content)


def restore(
    directory: Path, template: TrainState, run: dict[str, Any]
) -> tuple[TrainState, list[dict[str, Any]]] | None:
    """Return the state and history that were saved last, or None where nothing was.

    Args:
        directory: may not exist.
        template: a state of the same run, for its tree.
        run: of `identity`.

    Raises:
        BadArgument: if the checkpoint is another run's, when it names what differs, or of another
            version, or if what is there is no file.
        Failed: if the file cannot be read, or is not what was written.
    """
    expected = {name: (str(leaf.dtype), np.shape(leaf)) for name, leaf in _named(template)}
    for name, (dtype, _) in expected.items():
        if dtype not in DTYPES:
            raise BadArgument(
                f"checkpoint_dir: {name} of the state is {dtype}; allowed: {', '.join(DTYPES)}"
            )
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(template))
    content = read_bytes(path, "checkpoint_dir", at_most=size + _MOST_TEXT)
    what = f"checkpoint {path}"
    metadata = metadata_of(content, what)
    _check_format(metadata, path)
    tensors = unsealed(content, what)
    try:
        saved, history = json.loads(metadata["run"]), json.loads(metadata["history"])
    except (KeyError, ValueError, RecursionError) as error:
        raise Failed(f"{printable(what)}: damaged, its history cannot be read") from error
    checked(history, list[_Epoch], what)
    checked(history, list[dict[str, int | float | list[float]]], what)  # metrics are added to it
    _check_same(saved, run, path)
    found = {name: (str(tensor.dtype), tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        names = sorted(set(expected.items()) ^ set(found.items()))[:2]
        raise BadArgument(f"checkpoint_dir: {path} has another state than this run: {names}")
    # Copies: the step donates its state, and jax may share memory with an array of numpy's.
    leaves = [jax.numpy.array(tensors[name], copy=True) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(template), leaves), history


def _named(state: TrainState) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        yield jax.tree_util.keystr(path), leaf


def _check_format(metadata: dict[str, str], path: Path) -> None:
    written = metadata.get("format")
    if written == str(_FORMAT):
        return
    if written is None and {"run", "history"} <= set(metadata):
        why = "cnnjax 0.1.0 wrote it, which did not note enough to tell one run from another"
    elif written is not None and written.isdecimal():
        why = f"its format is {printable(written)}, this version of cnnjax reads {_FORMAT}"
    else:
        why = "it is not a checkpoint"
    raise BadArgument(
        f"checkpoint_dir: {printable(str(path))} cannot be resumed: {why}; choose another "
        "directory or remove it"
    )


def _check_same(saved: Any, run: dict[str, Any], path: Path) -> None:
    """Raise `BadArgument`, naming the first place that differs, unless two identities are equal."""
    place, there, here = _difference(saved, json.loads(json.dumps(run)), "")
    if there != here:
        found = printable(f"{place.removeprefix('.')} is {there}, not {here}")
        raise BadArgument(
            f"checkpoint_dir: {printable(str(path))} belongs to another run: its {found}; choose "
            "another directory or remove it"
        )


def _difference(there: Any, here: Any, place: str) -> tuple[str, str, str]:
    """Return the first place where two JSON values differ, and what stands there as text.

    As text, because to Python 1, 1.0 and True are equal.
    """
    if isinstance(there, dict) and isinstance(here, dict) and list(there) == list(here):
        pairs = [(f".{name}", there[name], here[name]) for name in here]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(f"[{i}]", *each) for i, each in enumerate(zip(there, here, strict=True))]
    else:
        return place, json.dumps(there), json.dumps(here)
    for name, one, other in pairs:
        if json.dumps(one) != json.dumps(other):
            return _difference(one, other, place + name)
    return place, "", ""
