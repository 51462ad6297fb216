"""`sweep`: several training runs at once, as one program mapped over scalars and keys."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data import Source
from cnnjax.errors import BadArgument
from cnnjax.files import locked
from cnnjax.records import Logger
from cnnjax.train.arguments import check, check_keys, check_surroundings, normalization_of
from cnnjax.train.checkpoint import resumed
from cnnjax.train.course import Course, NonFiniteLoss, gone_through
from cnnjax.train.epochs import evaluated
from cnnjax.train.feed import feed_of
from cnnjax.train.fit import Run
from cnnjax.train.hyper import Hyper
from cnnjax.train.placement import one_device
from cnnjax.train.plan import begun, plan_of, programs_of
from cnnjax.train.progress import Progress
from cnnjax.train.recipe import Recipe
from cnnjax.train.same import identity
from cnnjax.train.saving import Checkpointing, Saver, check_checkpointing, loggers_of
from cnnjax.train.standing import Standing
from cnnjax.typing import Array, Key, Variables

__all__ = ["sweep"]


def sweep(
    model: Any,
    train_set: Source,
    test_set: Source | None,
    recipe: Recipe,
    hypers: Sequence[Hyper],
    keys: Sequence[Key] | Array,
    *,
    validation: Source | None = None,
    variables: Variables | None = None,
    normalization: tuple[np.ndarray, np.ndarray] | None = None,
    progress: Progress | None = None,
    checkpoint_dir: str | Path | None = None,
    checkpointing: Checkpointing | None = None,
    loggers: Sequence[Logger] = (),
    log_every: int = 100,
    stream: bool | None = None,
) -> list[Run]:
    """Train a model once for every pair of scalars and key, all of them in one vmapped program.

    Each run equals `fit` with the same arguments, to rounding. A run whose loss becomes infinite
    or NaN does not disturb the others: its `Run` has `failure` set, a history that ends with the
    epoch before, and no test result.

    Args:
        model: a Linen module.
        train_set: images and labels to learn from.
        test_set: evaluated once, after the last step; None leaves it out.
        recipe: the static half of the settings, the same for all.
        hypers: one or more, of one class; `backbone_rate` is 0 in all of them or in none.
        keys: one or more, from `jax.random.key` or `jax.random.split`.
        validation: evaluated after every epoch.
        variables: weights that all runs start from; None draws those of each from its key.
        normalization: as in `fit`.
        progress: called while the runs go, with means over those that have not failed.
        checkpoint_dir: as in `fit`; what is saved and resumed is the sweep as a whole.
        checkpointing: as in `fit`; of several runs the mean says which epoch is the best.
        loggers: as in `fit`, called for each run that has not failed.
        log_every: as in `fit`.
        stream: as in `fit`.

    Returns:
        `len(hypers) * len(keys)` runs: all keys of the first hyper, then of the second, ... Their
        seconds are those of the whole sweep, and images per second count those of all runs.

    Raises:
        BadArgument: as `fit`, and for no hypers or no keys.
    """
    check_surroundings(progress, checkpoint_dir)
    how = check_checkpointing(checkpointing, checkpoint_dir, validation)
    told = loggers_of(loggers, log_every, checkpoint_dir)
    hypers, keys = _listed(hypers, keys)
    written = recipe
    recipe = check(model, recipe, hypers, train_set, test_set, validation)
    mean, std = normalization_of(train_set, normalization)
    pairs = [(hyper, key) for hyper in hypers for key in keys]
    scalars: Hyper = jax.tree.map(
        lambda *values: jnp.array(values, jnp.float32), *(hyper for hyper, _ in pairs)
    )
    stacked = jnp.stack([key for _, key in pairs])
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    given = {"variables": variables, "normalization": normalization}
    start = {name: value for name, value in given.items() if value is not None}
    with contextlib.ExitStack() as stack:
        if directory is not None:
            stack.enter_context(locked(directory, "checkpoint_dir"))
        plan = plan_of(recipe, train_set, len(pairs), one_device())
        state, seconds = begun(model, plan, scalars, stacked, mean, std, variables)
        feed = feed_of(train_set, plan.mesh, stream)
        programs, more = programs_of(model, plan, feed, len(train_set), stacked, state)
        words = [f"{type(model).__name__} on {train_set.name} with {hyper}" for hyper, _ in pairs]
        standing, saver = Standing(state), None
        if directory is not None:
            each = [hyper for hyper, _ in pairs], [key for _, key in pairs]
            run = identity(model, written, *each, train_set, validation, start)
            standing = resumed(directory, standing, run, plan)
            saver = stack.enter_context(Saver(directory, run, how, plan.steps_per_epoch))
        course = Course(model, programs, words, validation, progress, saver, told, log_every)
        standing, later = gone_through(course, standing)
        if saver is not None:
            saver.now(standing)
        seconds += more + later
        test: dict[str, Any] = {}
        if test_set is not None:
            test, more = evaluated(model, plan, standing.state, test_set)
            seconds += more
    whole = _Whole(standing, test, mean, std, seconds)
    failures = {run: course.failure(run, *why) for run, why in standing.failures.items()}
    return [whole.run(index, failures.get(index)) for index in range(len(pairs))]


def _listed(hypers: Any, keys: Any) -> tuple[list[Hyper], list[Key]]:
    """Return both as lists, checked."""
    for name, value in (("hypers", hypers), ("keys", keys)):
        alone = isinstance(value, str) or not hasattr(value, "__len__")
        if alone or getattr(value, "shape", None) == ():
            raise BadArgument(f"{name}: received {value!r}; allowed: a list, if only of one")
        if not len(value):
            raise BadArgument(f"{name}: received none; allowed: one or more")
    kinds = sorted({type(hyper).__qualname__ for hyper in hypers if isinstance(hyper, Hyper)})
    if len(kinds) > 1:
        raise BadArgument(f"hypers: received {' and '.join(kinds)}; allowed: of one class")
    check_keys(list(keys), "keys")
    return list(hypers), list(keys)


@dataclasses.dataclass(frozen=True)
class _Whole:
    """What all runs of a sweep have come to, together."""

    standing: Standing
    test: dict[str, Any]
    mean: np.ndarray
    std: np.ndarray
    compile_seconds: float

    def run(self, index: int, failure: NonFiniteLoss | None) -> Run:
        """Return one of them."""
        own = jax.tree.map(lambda leaf: leaf[index], self.standing.state)
        test = {} if failure else {name: _of_run(v, index) for name, v in self.test.items()}
        entries = self.standing.history
        return Run(
            state=own,
            variables=own.variables,
            history=[
                {name: _of_run(value, index) for name, value in entry.items()}
                for entry in entries[: None if failure is None else failure.epoch - 1]
            ],
            test=test,
            mean=self.mean,
            std=self.std,
            compile_seconds=self.compile_seconds,
            train_seconds=sum(entry["seconds"] for entry in entries) + self.standing.seconds,
            failure=failure,
            stopped=self.standing.stopped,
        )


def _of_run(value: Any, run: int) -> Any:
    return value[run].tolist() if isinstance(value, np.ndarray) else value
