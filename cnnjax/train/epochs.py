"""An epoch of a run, or of several at once: its steps, its entry in the history, its reports."""

import time
from collections.abc import Callable, Collection
from typing import Any

import jax
import numpy as np

from cnnjax.data import Source
from cnnjax.train.evaluate import totals
from cnnjax.train.plan import Plan, Programs
from cnnjax.train.progress import Progress, Report
from cnnjax.train.state import TrainState

__all__ = ["evaluated", "report", "train_epoch"]

# Losses are fetched this often and not after every step, for the host to stay ahead of the device.
_SECONDS_BETWEEN_LOOKS = 0.5


def train_epoch(
    programs: Programs,
    state: TrainState,
    epoch: int,
    watch: Callable[[np.ndarray, int], None],
    progress: Progress | None,
    failed: Collection[int] = (),
) -> tuple[TrainState, dict[str, Any]]:
    """Take an epoch's steps and return the new state and the epoch's entry in the history.

    Args:
        programs: of the run.
        state: before the epoch; it is donated.
        epoch: from 0.
        watch: sees every loss and the number of the first step, a few steps late.
        progress: is told in between.
        failed: which runs of several its reports leave out.

    Returns:
        The state, and an entry whose values have a leading axis of runs where there are several.
    """
    plan = programs.plan
    start = look = time.perf_counter()
    order = programs.order(programs.key, np.int32(epoch), programs.indices)
    waiting: list[Any] = []
    seen: list[Any] = []
    for index, batch in enumerate(programs.feed.epoch(order, plan.batch_size), start=1):
        state, metrics = programs.step(state, *batch, programs.key)
        waiting.append(metrics)
        last = index == plan.steps_per_epoch
        if last or time.perf_counter() - look > _SECONDS_BETWEEN_LOOKS:
            first = epoch * plan.steps_per_epoch + len(seen)
            fetched = jax.device_get(waiting)
            watch(np.stack([metrics["loss"] for metrics in fetched]), first)
            seen, waiting = seen + fetched, []
            look = time.perf_counter()
            if progress is not None and not last:
                entry = _entry(plan, epoch, seen, look - start)
                progress(report(plan, failed, epoch, len(seen), entry))
    return state, _entry(plan, epoch, seen, time.perf_counter() - start)


def _entry(plan: Plan, epoch: int, seen: list[Any], seconds: float) -> dict[str, Any]:
    means = {}
    for name in seen[0]:
        values = np.array([metrics[name] for metrics in seen], np.float64)
        # Of a class that a batch does not have, a metric is NaN: the mean is over those that do.
        per_class = values.ndim > 1 + plan.many
        means[f"train_{name}"] = _mean_where_known(values) if per_class else values.mean(axis=0)
    return {
        "epoch": epoch + 1,
        **{name: _plain(plan, value) for name, value in means.items()},
        "seconds": seconds,
        "images_per_second": len(seen) * plan.images_per_step / seconds,
    }


def _mean_where_known(values: np.ndarray) -> np.ndarray:
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
