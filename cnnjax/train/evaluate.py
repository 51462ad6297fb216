"""Evaluation and prediction: every example exactly once, in batches of one shape."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument, unknown
from cnnjax.train.arguments import check_module
from cnnjax.train.losses import LOSSES
from cnnjax.train.programs import compiled, forward_program, metrics_program
from cnnjax.train.sharding import devices_in
from cnnjax.typing import Variables

__all__ = ["BATCH_SIZE", "batches", "evaluate", "predict", "totals"]

BATCH_SIZE = 256


def evaluate(
    model: Any,
    variables: Variables,
    dataset: Dataset,
    *,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    batch_size: int = BATCH_SIZE,
    loss: str = "softmax",
    mesh: Mesh | None = None,
) -> dict[str, float]:
    """Return the mean loss and the accuracy of a model over a whole dataset.

    Args:
        model: a Linen module.
        variables: its weights.
        dataset: images and labels.
        mean: `[C]`, what to subtract from images / 255: the *training* set's.
        std: `[C]`, what to divide by.
        batch_size: images at a time; the last batch is filled up and the filling not counted.
        loss: a key of `LOSSES`, without label smoothing.
        mesh: of `data_parallel_mesh`, to share each batch out over its devices.

    Returns:
        `{"loss": ..., "accuracy": ...}`, the latter in 0..1.

    Raises:
        BadArgument: for no Linen module, fewer logits than classes, or a batch size below 1.
    """
    check_module(model)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise unknown("loss", loss, LOSSES)
    sums, _ = totals(
        model, variables, dataset, mean, std, batch_size=batch_size, loss=loss, mesh=mesh
    )
    return {name: float(value) for name, value in sums.items()}


def predict(
    model: Any,
    variables: Variables,
    dataset: Dataset,
    *,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    batch_size: int = BATCH_SIZE,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Return the logits `[N, K]` float32 of every image, in the dataset's order.

    Arguments as in `evaluate`.
    """
    check_module(model)
    run, pieces = None, []
    for images, _, _counted in batches(dataset, batch_size, mesh):
        if run is None:
            run, _ = compiled(forward_program(model, False, mesh), variables, images, mean, std)
        pieces.append(run(variables, images, mean, std))
    return np.concatenate(jax.device_get(pieces))[: len(dataset)]


def totals(
    model: Any,
    variables: Variables,
    dataset: Dataset,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    *,
    loss: str,
    batch_size: int = BATCH_SIZE,
    many: bool = False,
    mesh: Mesh | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Return the mean loss and accuracy, scalars or with `many` `[runs]`, and compile seconds."""
    run, score, seconds, sums = None, None, 0.0, []
    for images, labels, counted in batches(dataset, batch_size, mesh):
        if run is None or score is None:
            run, took = compiled(forward_program(model, many, mesh), variables, images, mean, std)
            logits = run(variables, images, mean, std)
            if logits.shape[-1] < dataset.num_classes:
                raise BadArgument(
                    f"model: {type(model).__name__} gives {logits.shape[-1]} logits of an image, "
                    f"{dataset.name!r} has {dataset.num_classes} classes"
                )
            score, more = compiled(metrics_program(loss, many, mesh), logits, labels, counted)
            seconds += took + more
        sums.append(score(run(variables, images, mean, std), labels, counted))
    sums = jax.device_get(sums)
    return {
        name: np.stack([part[name] for part in sums]).sum(axis=0, dtype=np.float64) / len(dataset)
        for name in ("loss", "accuracy")
    }, seconds


def batches(
    dataset: Dataset, batch_size: int, mesh: Mesh | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield images `[B, H, W, C]`, labels `[B]` and which count, `[B]` bool, in order.

    Every batch has the same shape: the last is filled with black images of class 0 that do not
    count. `B` is the batch size, rounded up to what the mesh's devices share evenly.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise BadArgument(f"batch_size: received {batch_size!r}, allowed: integers from 1")
    size = -(-batch_size // devices_in(mesh)) * devices_in(mesh)
    for start in range(0, len(dataset), size):
        images, labels = (a[start : start + size] for a in (dataset.images, dataset.labels))
        counted = np.arange(size) < len(images)
        missing = size - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
            labels = np.concatenate([labels, np.zeros(missing, np.int32)])
        yield images, labels, counted
