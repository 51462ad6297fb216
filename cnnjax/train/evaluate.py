"""Evaluation and prediction: every example exactly once, in batches of one shape."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from cnnjax.data import Source
from cnnjax.errors import BadArgument
from cnnjax.train.arguments import check_module
from cnnjax.train.losses import CrossEntropy, Loss
from cnnjax.train.metrics import Metric
from cnnjax.train.placement import one_device, replicated
from cnnjax.train.programs import compiled, forward_program, score_program
from cnnjax.train.recipe import Metrics, Recipe
from cnnjax.typing import Variables

__all__ = ["BATCH_SIZE", "batches", "evaluate", "predict", "totals"]

BATCH_SIZE = 256


def evaluate(
    model: Any,
    variables: Variables,
    dataset: Source,
    *,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    batch_size: int = BATCH_SIZE,
    loss: Loss = CrossEntropy(),  # noqa: B008 (frozen)
    metrics: Mapping[str, Metric] | Metrics = (),
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Return the mean loss and the accuracy of a model over a whole source.

    Args:
        model: a Linen module.
        variables: its weights.
        dataset: images and labels.
        mean: `[C]`, what to subtract from images / 255: the *training* set's.
        std: `[C]`, what to divide by.
        batch_size: images at a time; the last batch is filled up and the filling not counted.
        loss: of each example, without label smoothing.
        metrics: what else, by name.
        mesh: of `data_parallel_mesh`, to share each batch out over its devices.

    Returns:
        `{"loss": ..., "accuracy": ...}`, the latter in 0..1, and the metrics: a float each, or a
        list of them.

    Raises:
        BadArgument: for no Linen module, fewer logits than classes, or a batch size below 1.
    """
    check_module(model)
    settings = Recipe(loss=loss, metrics=metrics)
    sums, _ = totals(model, variables, dataset, mean, std, settings, batch_size, mesh=mesh)
    return {name: value.tolist() for name, value in sums.items()}


def predict(
    model: Any,
    variables: Variables,
    dataset: Source,
    *,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    batch_size: int = BATCH_SIZE,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Return the logits `[N, K]` float32 of every image, in the source's order.

    Arguments as in `evaluate`.
    """
    check_module(model)
    mesh = mesh or one_device()
    variables = jax.device_put(variables, replicated(mesh))
    run, pieces = None, []
    for images, _, _counted in batches(dataset, batch_size, mesh):
        if run is None:
            run, _ = compiled(forward_program(model, False, mesh), variables, images, mean, std)
        pieces.append(run(variables, images, mean, std))
    return np.concatenate(jax.device_get(pieces))[: len(dataset)]


def totals(
    model: Any,
    variables: Variables,
    dataset: Source,
    mean: np.ndarray | jax.Array,
    std: np.ndarray | jax.Array,
    recipe: Recipe,
    batch_size: int = BATCH_SIZE,
    *,
    many: bool = False,
    mesh: Mesh | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Return the means of loss, accuracy and the recipe's metrics, and the seconds of compiling.

    Scalars or `[M]`, with `many` after an axis of runs.
    """
    run, grade, seconds, sums = None, None, 0.0, []
    mesh, classes = mesh or one_device(), len(dataset.class_names)
    variables = jax.device_put(variables, replicated(mesh))
    mean, std = np.asarray(mean), np.asarray(std)
    for images, labels, counted in batches(dataset, batch_size, mesh):
        if run is None or grade is None:
            run, took = compiled(forward_program(model, many, mesh), variables, images, mean, std)
            logits = run(variables, images, mean, std)
            if logits.shape[-1] < classes:
                raise BadArgument(
                    f"model: {type(model).__name__} gives {logits.shape[-1]} logits of an image, "
                    f"{dataset.name!r} has {classes} classes"
                )
            program = score_program(recipe, logits.shape[-1], many, mesh)
            grade, more = compiled(program, logits, labels, counted)
            seconds += took + more
        sums.append(grade(run(variables, images, mean, std), labels, counted))
    sums = jax.device_get(sums)
    axis = 1 if many else 0  # of total and weight
    means = {}
    for name in sums[0]:
        whole = np.array([part[name] for part in sums], np.float64).sum(axis=0)
        total, weight = np.moveaxis(whole, axis, 0)
        with np.errstate(invalid="ignore"):  # a class without examples has no accuracy
            means[name] = total / weight
    return means, seconds


def batches(
    dataset: Source, batch_size: int, mesh: Mesh | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield images `[B, H, W, C]`, labels `[B]` and which count, `[B]` bool, in order.

    Every batch has the same shape: the last is filled with black images of class 0 that do not
    count. `B` is the batch size, rounded up to what the mesh's devices share evenly.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise BadArgument(f"batch_size: received {batch_size!r}, allowed: integers from 1")
    devices = 1 if mesh is None else mesh.size
    size = -(-batch_size // devices) * devices
    every = np.asarray(dataset.labels, np.int32)
    for start in range(0, len(dataset), size):
        labels = every[start : start + size]
        images = dataset.take(np.arange(start, start + len(labels)))
        counted = np.arange(size) < len(images)
        missing = size - len(images)
        if missing:
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
            labels = np.concatenate([labels, np.zeros(missing, np.int32)])
        yield images, labels, counted
