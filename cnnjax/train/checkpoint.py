"""Checkpoints: a state and its history in one file that is always complete.

The file is safetensors, written by the few lines here rather than by Orbax: a run of this package
fits on one host, one file renamed into place is atomic where a directory of files is not, it is
read without knowing the tree, and importing it costs nothing.
"""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing, writing
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.train.state import TrainState
from cnnjax.typing import Key

__all__ = ["CHECKPOINT", "describe", "identity", "prepare", "restore", "save_checkpoint"]

CHECKPOINT = "checkpoint.safetensors"


def identity(
    model: Any,
    recipe: Recipe,
    hyper: Hyper,
    key: Key,
    train_set: Dataset,
    validation: Dataset | None,
    start: dict[str, Any],
) -> dict[str, Any]:
    """Return what makes a run this run, as JSON: equal for equal runs in any process.

    `start` is what it starts from besides the key: arrays by name, `{}` for none.
    """
    return {
        "model": describe(model),
        "recipe": recipe.to_dict(),
        "hyper": hyper.to_dict(),
        "key": [str(jax.random.key_impl(key)), jax.random.key_data(key).tolist()],
        "train_set": train_set.fingerprint(),
        "validation": None if validation is None else validation.fingerprint(),
        "start": _fingerprint(start) if start else None,
    }


def describe(value: Any) -> Any:
    """Return a value as JSON without addresses: modules by their fields, functions by name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.name not in ("parent", "name")]
        return {type(value).__name__: {name: describe(getattr(value, name)) for name in fields}}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(name): describe(item) for name, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "func"):  # functools.partial
        return describe([value.func, value.args, value.keywords])
    return getattr(value, "__qualname__", None) or str(value)


def _fingerprint(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


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

    The new file is complete on disk before it takes the old one's name.

    Raises:
        Failed: where it cannot be written; the one before stays.
    """
    tensors = {name: np.asarray(leaf) for name, leaf in _named(state)}
    content = save(tensors, {"run": json.dumps(run), "history": json.dumps(history)})
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
        BadArgument: if the checkpoint is another run's; it names what differs.
        Failed: if the file cannot be read.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        saved, history = json.loads(metadata["run"]), json.loads(metadata["history"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise Failed(f"checkpoint {path}: cannot be read: {error}") from error
    for name, value in json.loads(json.dumps(run)).items():
        if saved.get(name) != value:
            raise BadArgument(
                f"checkpoint_dir: {path} belongs to another run: its {name} is "
                f"{_differing(saved.get(name), value)}; choose another directory or remove it"
            )
    expected = {name: np.shape(leaf) for name, leaf in _named(template)}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        names = sorted(set(expected.items()) ^ set(found.items()))[:2]
        raise BadArgument(f"checkpoint_dir: {path} has another state than this run: {names}")
    # Copies: the step donates its state, and jax may share memory with an array of numpy's.
    leaves = [jax.numpy.array(tensors[name], copy=True) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(template), leaves), history


def _named(state: TrainState) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        yield jax.tree_util.keystr(path), leaf


def _differing(saved: Any, wanted: Any) -> str:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        names = [name for name in wanted if saved.get(name) != wanted[name]]
        saved = {name: saved.get(name) for name in names}
        wanted = {name: wanted[name] for name in names}
    return f"{saved!r}, not {wanted!r}"
