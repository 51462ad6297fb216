"""`sweep`: several training runs at once, as one program mapped over scalars and keys."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument
from cnnjax.train.arguments import check
from cnnjax.train.fit import NonFiniteLoss, Run, Session
from cnnjax.train.progress import Progress
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.typing import Array, Key

__all__ = ["sweep"]


def sweep(
    model: Any,
    train_set: Dataset,
    test_set: Dataset | None,
    recipe: Recipe,
    hypers: Sequence[Hyper],
    keys: Sequence[Key] | Array,
    *,
    validation: Dataset | None = None,
    progress: Progress | None = None,
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
        hypers: one or more.
        keys: one or more, from `jax.random.key` or `jax.random.split`.
        validation: evaluated after every epoch.
        progress: called while the runs go, with means over those that have not failed.

    Returns:
        `len(hypers) * len(keys)` runs: all keys of the first hyper, then of the second, ... Their
        seconds are those of the whole sweep, and images per second count those of all runs.

    Raises:
        BadArgument: as `fit`, and for no hypers or no keys.
    """
    if not len(hypers) or not len(keys):
        raise BadArgument(
            f"hypers, keys: received {len(hypers)} and {len(keys)}, allowed: one or more of each"
        )
    check(model, recipe, list(hypers), train_set, test_set, validation)
    pairs = [(hyper, key) for hyper in hypers for key in keys]
    scalars: Hyper = jax.tree.map(
        lambda *values: jnp.array(values, jnp.float32), *(hyper for hyper, _ in pairs)
    )
    session = Session(
        model, train_set, recipe, scalars, jnp.stack([key for _, key in pairs]), many=True
    )
    failures: dict[int, NonFiniteLoss] = {}

    def watch(losses: np.ndarray, first_step: int) -> None:
        for run in np.flatnonzero(~np.isfinite(losses).all(axis=0)).tolist():
            step = int(np.argmax(~np.isfinite(losses[:, run])))
            if run not in failures:
                failures[run] = NonFiniteLoss(
                    f"{type(model).__name__} on {train_set.name} with {pairs[run][0]}",
                    first_step + step,
                    first_step // session.steps_per_epoch + 1,
                    float(losses[step, run]),
                )

    state, histories = session.state, [[] for _ in pairs]  # type: Any, list[list[dict[str, Any]]]
    train_seconds = 0.0
    for epoch in range(recipe.epochs):
        state, entry = session.train_epoch(state, epoch, watch, progress)
        train_seconds += entry["seconds"]
        if validation is not None:
            entry |= session.evaluate(state, validation, "validation_")
        for run, history in enumerate(histories):
            if run not in failures:
                history.append({name: _of_run(value, run) for name, value in entry.items()})
        if len(failures) == len(pairs):
            break
        if progress is not None:
            progress(session.report(epoch, session.steps_per_epoch, entry, finished=entry))
    test = {} if test_set is None else session.evaluate(state, test_set)
    runs = []
    for run, history in enumerate(histories):
        own = jax.tree.map(lambda leaf: leaf[run], state)  # noqa: B023 - called at once
        runs.append(
            Run(
                state=own,
                variables=own.variables,
                history=history,
                test={}
                if run in failures
                else {name: _of_run(value, run) for name, value in test.items()},
                mean=session.mean,
                std=session.std,
                compile_seconds=session.compile_seconds,
                train_seconds=train_seconds,
                failure=failures.get(run),
            )
        )
    return runs


def _of_run(value: Any, run: int) -> Any:
    return float(value[run]) if isinstance(value, np.ndarray) else value
