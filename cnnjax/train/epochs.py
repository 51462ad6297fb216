"""What an epoch comes to: its entry in the history, its evaluation, its reports."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from cnnjax.data import Source
from cnnjax.train.evaluate import totals
from cnnjax.train.plan import Plan
from cnnjax.train.progress import Report
from cnnjax.train.state import TrainState

__all__ = ["entry_of", "evaluated", "mean_of", "report"]


def entry_of(
    plan: Plan, epoch: int, seen: Mapping[str, np.ndarray], seconds: float
) -> dict[str, Any]:
    """Return the entry of an epoch, or of what has been seen of it, in the history.

    Args:
        plan: of the run.
        epoch: from 0.
        seen: the metrics of its steps, `[steps, ...]`, with several runs `[steps, runs, ...]`.
        seconds: that the steps took.
    """
    means = {name: mean_of(plan, values) for name, values in seen.items()}
    return {
        "epoch": epoch + 1,
        **{f"train_{name}": _plain(plan, value) for name, value in means.items()},
        "seconds": seconds,
        "images_per_second": len(seen["loss"]) * plan.images_per_step / seconds,
    }


def mean_of(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Return the mean of a metric over its first axis, which is of steps."""
    values = np.asarray(values, np.float64)
    if values.ndim == 1 + plan.many:
        return values.mean(axis=0)
    # Of a class that a batch does not have, a metric is NaN: the mean is over those that do.
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0).sum(axis=0) / known.sum(axis=0)


def _plain(plan: Plan, value: np.ndarray) -> Any:
    return value if plan.many else value.tolist()


def evaluated(
    model: Any, plan: Plan, state: TrainState, source: Source, prefix: str = ""
) -> tuple[dict[str, Any], float]:
    """Return loss, accuracy and metrics on a source by prefixed names, and compile seconds."""
    sums, seconds = totals(
        model,
        state.variables,
        source,
        state.mean[0] if plan.many else state.mean,
        state.std[0] if plan.many else state.std,
        plan.recipe,
        many=plan.many,
        mesh=plan.mesh,
    )
    return {prefix + name: _plain(plan, value) for name, value in sums.items()}, seconds


def report(
    plan: Plan,
    failed: Collection[int],
    epoch: int,
    taken: int,
    entry: dict[str, Any],
    *,
    finished: bool = False,
) -> Report:
    """Return where a run stands after `taken` steps of an epoch (from 0).

    With several, its numbers are means over the runs that have not failed.
    """
    step = epoch * plan.steps_per_epoch + taken
    numbers = {name: _mean(value, failed) for name, value in entry.items()}
    rate = entry["images_per_second"]
    return Report(
        epoch=epoch + 1,
        epochs=plan.recipe.epochs,
        step=step,
        steps=plan.steps,
        loss=numbers["train_loss"],
        accuracy=numbers["train_accuracy"],
        images_per_second=rate,
        seconds_left=(plan.steps - step) * plan.images_per_step / rate,
        finished=numbers if finished else None,
    )


def _mean(value: Any, failed: Collection[int]) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    kept = np.delete(value, sorted(failed), axis=0)
    return kept.mean(axis=0).tolist() if len(kept) else float("nan")
