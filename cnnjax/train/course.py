"""The course of a run, or of several at once: from where it stands to its last step."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from cnnjax.data import Source
from cnnjax.errors import Failed
from cnnjax.records import Logger
from cnnjax.train.epochs import entry_of, evaluated, mean_of, report
from cnnjax.train.plan import Programs
from cnnjax.train.progress import Progress, StopTraining
from cnnjax.train.saving import Saver
from cnnjax.train.standing import Standing
from cnnjax.train.state import TrainState

__all__ = ["Course", "NonFiniteLoss", "gone_through"]

# A chunk of steps is to take so long: in between the host hears nothing of a run.
_SECONDS_BETWEEN_LOOKS = 0.5


class NonFiniteLoss(Failed):
    """A training loss became infinite or NaN.

    Attributes:
        run: what it trained, in words.
        step: the first step with such a loss, from 0.
        epoch: its epoch, from 1.
    """

    def __init__(self, run: str, step: int, epoch: int, loss: float) -> None:
        super().__init__(
            f"the loss is {loss} at step {step} (epoch {epoch}) of {run}; "
            "try a smaller learning_rate, a longer warmup, or clip_norm"
        )
        self.run, self.step, self.epoch = run, step, epoch


@dataclasses.dataclass
class _Pace:
    """How many steps a chunk takes, and when progress was told last."""

    told: float
    steps: int = 1

    def measured(self, steps: int, seconds: float) -> None:
        """Choose the next chunk's length by what the last one took."""
        self.steps = max(1, int(_SECONDS_BETWEEN_LOOKS * steps / max(seconds, 1e-9)))

    def due(self) -> bool:
        """Return whether it is time to tell, which is then noted as done."""
        now = time.perf_counter()
        # Half, because a chunk is only about as long as it was meant to be.
        if now - self.told <= _SECONDS_BETWEEN_LOOKS / 2:
            return False
        self.told = now
        return True


@dataclasses.dataclass(frozen=True)
class Course:
    """What stays the same from step to step of a run.

    Attributes:
        model: a Linen module.
        programs: of the run.
        words: what trains, for the error; one text a run.
        validation: evaluated after every epoch.
        progress: told after every chunk.
        saver: of checkpoints; None saves none.
        loggers: told every `log_every` steps and at the end of every epoch.
        log_every: so many steps.
    """

    model: Any
    programs: Programs
    words: list[str]
    validation: Source | None
    progress: Progress | None
    saver: Saver | None
    loggers: Sequence[Logger] = ()
    log_every: int = 100

    def failure(self, run: int, step: int, loss: float) -> NonFiniteLoss:
        """Return the failure of one of the runs."""
        epoch = step // self.programs.plan.steps_per_epoch + 1
        return NonFiniteLoss(self.words[run], step, epoch, loss)


def gone_through(course: Course, standing: Standing) -> tuple[Standing, float]:
    """Take the steps that are left and return where the run then stands.

    Returns:
        Also the seconds of compiling the evaluation.

    Raises:
        NonFiniteLoss: where the loss of a run is not finite that has no other beside it.
    """
    plan, compiling = course.programs.plan, 0.0
    pace = _Pace(told=time.perf_counter())
    while len(standing.history) < plan.recipe.epochs and not standing.stopped:
        standing = _epoch(course, standing, pace)
        if standing.stopped or _all_failed(course, standing):
            break
        epoch = len(standing.history)
        entry = entry_of(plan, epoch, standing.seen, standing.seconds)
        if course.validation is not None:
            found, more = evaluated(
                course.model, plan, standing.state, course.validation, "validation_"
            )
            entry, compiling = entry | found, compiling + more
        history = [*standing.history, entry]
        standing = dataclasses.replace(standing, history=history, seen={}, seconds=0.0)
        _log(course, standing, epoch * plan.steps_per_epoch + plan.steps_per_epoch, entry)
        if course.saver is not None:
            course.saver.after_epoch(standing)
        taken = plan.steps_per_epoch
        standing = _told(course, standing, epoch, taken, entry, finished=True)
    return standing, compiling


def _all_failed(course: Course, standing: Standing) -> bool:
    return len(standing.failures) == len(course.words)


def _epoch(course: Course, standing: Standing, pace: _Pace) -> Standing:
    """Take the steps of an epoch that are left, chunk by chunk."""
    programs, plan = course.programs, course.programs.plan
    epoch = len(standing.history)
    order = programs.order(programs.key, np.int32(epoch), programs.indices)
    batches = programs.feed.epoch(order, plan.batch_size, standing.taken)
    while standing.taken < plan.steps_per_epoch and not standing.stopped:
        before = standing.taken
        left = plan.steps_per_epoch - before
        if course.saver is not None:
            left = min(left, course.saver.steps_until_due(epoch * plan.steps_per_epoch + before))
        start = time.perf_counter()
        state, seen = _chunk(programs, standing.state, batches, min(left, pace.steps))
        seconds = time.perf_counter() - start
        if standing.seen:
            seen = {name: np.concatenate([standing.seen[name], new]) for name, new in seen.items()}
        standing = dataclasses.replace(
            standing, state=state, seen=seen, seconds=standing.seconds + seconds
        )
        standing = _watched(course, standing, before)
        _log_steps(course, standing, before)
        pace.measured(standing.taken - before, seconds)
        if standing.taken == plan.steps_per_epoch:
            break
        if course.saver is not None:
            course.saver.after_chunk(standing)
        if pace.due():
            entry = entry_of(plan, epoch, standing.seen, standing.seconds)
            standing = _told(course, standing, epoch, standing.taken, entry)
    return standing


def _chunk(
    programs: Programs, state: TrainState, batches: Any, length: int
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Take so many steps; a program that takes fewer is called again, ahead of the device."""
    pieces: list[Any] = []
    counts: list[int] = []
    while length > sum(counts):
        count = min(length - sum(counts), programs.longest)
        state, metrics = programs.chunk(state, *next(batches), programs.key, np.int32(count))
        pieces.append(metrics)
        counts.append(count)
    fetched = [
        {name: values[:count] for name, values in piece.items()}
        for piece, count in zip(jax.device_get(pieces), counts, strict=True)
    ]
    return state, {name: np.concatenate([each[name] for each in fetched]) for name in fetched[0]}


def _watched(course: Course, standing: Standing, before: int) -> Standing:
    """Note the runs whose loss was not finite in the steps behind `before`."""
    plan = course.programs.plan
    losses = np.asarray(standing.seen["loss"])[before:].reshape(-1, len(course.words))
    first = len(standing.history) * plan.steps_per_epoch + before
    failures = dict(standing.failures)
    for run in np.flatnonzero(~np.isfinite(losses).all(axis=0)).tolist():
        step = int(np.argmax(~np.isfinite(losses[:, run])))
        failures.setdefault(run, (first + step, float(losses[step, run])))
    if failures and not plan.many:
        raise course.failure(0, *failures[0])
    return dataclasses.replace(standing, failures=failures)


def _log_steps(course: Course, standing: Standing, before: int) -> None:
    """Log the steps behind `before` whose numbers are multiples of `log_every`."""
    plan, epoch, every = course.programs.plan, len(standing.history), course.log_every
    start = epoch * plan.steps_per_epoch
    first, last = start + before, start + standing.taken
    for step in range((first // every + 1) * every, last + 1, every):
        since = max(start, step - every) - start
        means = {n: mean_of(plan, v[since : step - start]) for n, v in standing.seen.items()}
        _log(course, standing, step, {"epoch": epoch + 1, **means})


def _log(course: Course, standing: Standing, step: int, values: dict[str, Any]) -> None:
    """Tell every logger numbers by name, those of each run that has not failed on their own."""
    if not course.loggers:
        return
    for run in range(len(course.words)):
        if run in standing.failures:
            continue
        flat: dict[str, float] = {"run": run} if course.programs.plan.many else {}
        for name, value in values.items():
            value = value[run] if course.programs.plan.many and np.ndim(value) else value
            if np.ndim(value):
                flat |= {f"{name}/{i}": float(each) for i, each in enumerate(value)}
            else:
                flat[name] = value if isinstance(value, int) else float(value)
        for logger in course.loggers:
            logger(step, flat)


def _told(
    course: Course,
    standing: Standing,
    epoch: int,
    taken: int,
    entry: dict[str, Any],
    *,
    finished: bool = False,
) -> Standing:
    """Tell the progress where the run stands, and return whether it is to go on."""
    if course.progress is None:
        return standing
    told = report(course.programs.plan, standing.failures, epoch, taken, entry, finished=finished)
    try:
        course.progress(told)
    except StopTraining:
        return dataclasses.replace(standing, stopped=told.step < told.steps)
    except BaseException:
        if course.saver is not None:
            course.saver.now(standing)
        raise
    return standing
