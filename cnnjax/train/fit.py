"""`fit`: a whole training run, from a key to trained weights."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from cnnjax.data.dataset import Dataset
from cnnjax.errors import Failed
from cnnjax.files import locked
from cnnjax.train.arguments import check, check_keys, check_surroundings, is_frozen
from cnnjax.train.checkpoint import identity, prepare, restore, save_checkpoint
from cnnjax.train.progress import Progress
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.train.session import Session
from cnnjax.train.sharding import replicated
from cnnjax.train.state import TrainState
from cnnjax.typing import Key, Variables

__all__ = ["NonFiniteLoss", "Run", "fit"]


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


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Attributes:
        state: after the last step.
        variables: the trained weights, `{"params": ..., "batch_stats": ...}`: moving averages
            where the recipe keeps them.
        history: per epoch `epoch` (from 1), `train_loss`, `train_accuracy` (both of augmented
            batches while training), `seconds`, `images_per_second`, and with a validation set
            `validation_loss` and `validation_accuracy`.
        test: `loss` and `accuracy` on the test set after the last step; `{}` without one.
        mean: `[C]` float32, what normalisation subtracted from images / 255.
        std: `[C]` float32, what it divided by.
        compile_seconds: tracing, lowering and compiling; almost 0 when an earlier run did it.
        train_seconds: the training steps of all epochs, without evaluation and checkpoints.
        failure: why the run ended early, in a `sweep`; None if it did not.
    """

    state: TrainState
    variables: Variables
    history: list[dict[str, Any]]
    test: dict[str, float]
    mean: np.ndarray
    std: np.ndarray
    compile_seconds: float
    train_seconds: float
    failure: NonFiniteLoss | None = None


def fit(
    model: Any,
    train_set: Dataset,
    test_set: Dataset | None,
    recipe: Recipe,
    hyper: Hyper,
    key: Key,
    *,
    validation: Dataset | None = None,
    variables: Variables | None = None,
    normalisation: tuple[np.ndarray, np.ndarray] | None = None,
    progress: Progress | None = None,
    checkpoint_dir: str | Path | None = None,
    mesh: Mesh | None = None,
) -> Run:
    """Train a model and return its weights, its history and its accuracy on the test set.

    The same arguments give the same run, to the bit on a CPU. A second run with another key or
    other scalars compiles nothing.

    Args:
        model: a Linen module: `model.apply(variables, images, train=...)` gives logits `[B, K]`.
            One that takes weights from images has a method `start_from`, see `create_state`; one
            with auxiliary classifiers has an attribute `aux_weight`, see `make_train_step`.
        train_set: images and labels to learn from.
        test_set: evaluated once, after the last step; None leaves it out.
        recipe: the static half of the settings.
        hyper: the scalars.
        key: the run's only source of randomness, from `jax.random.key` or `key_of`.
        validation: evaluated after every epoch.
        variables: weights to start from, such as `load_weights` returns; None draws them from the
            key. They are copied, as the model's types: those of a file may be bfloat16.
        normalisation: `(mean [C], std [C])` of images / 255, such as those weights were trained
            with; None takes the training set's.
        progress: called while the run goes; see `show_progress`.
        checkpoint_dir: where the run is saved after every epoch, and resumed from; nobody else can
            train there meanwhile. It takes a model that can be told from every other: see
            `cnnjax.train.identity.describe`.
        mesh: of `data_parallel_mesh`, to share each batch out over its devices.

    Raises:
        BadArgument: if the sets do not fit each other or the model, variables are not the model's,
            the checkpoint is another run's, or the model cannot be told from another.
        NonFiniteLoss: at the first loss that is infinite or NaN.
        Failed: if a checkpoint is damaged, or cannot be read or written, or another run holds it.
    """
    check_surroundings(progress, checkpoint_dir, mesh)
    check_keys([key])
    check(model, recipe, [hyper], train_set, test_set, validation)
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    start = {
        name: value
        for name, value in (("variables", variables), ("normalisation", normalisation))
        if value is not None
    }
    run = identity(model, recipe, hyper, key, train_set, validation, start) if directory else {}
    if directory is not None:
        prepare(directory)
    with locked(directory, "checkpoint_dir") if directory else contextlib.nullcontext():
        session = Session(
            model,
            train_set,
            recipe,
            hyper,
            key,
            variables=variables,
            normalisation=normalisation,
            frozen=is_frozen(recipe, [hyper]),
            mesh=mesh,
        )
        words = f"{type(model).__name__} on {train_set.name} with {hyper}"
        state, history = _train(session, words, validation, progress, directory, run)
        test = {} if test_set is None else session.evaluate(state, test_set)
    return Run(
        state=state,
        variables=state.variables,
        history=history,
        test=test,
        mean=session.mean,
        std=session.std,
        compile_seconds=session.compile_seconds,
        train_seconds=sum(entry["seconds"] for entry in history),
    )


def _train(
    session: Session,
    words: str,
    validation: Dataset | None,
    progress: Progress | None,
    directory: Path | None,
    run: dict[str, Any],
) -> tuple[TrainState, list[dict[str, Any]]]:
    """Take the epochs that are left, each saved at its end; return the last state and history."""
    state, history = session.state, []  # type: TrainState, list[dict[str, Any]]
    if directory is not None:
        state, history = restore(directory, state, run) or (state, history)
        state = jax.device_put(state, replicated(session.mesh))

    def watch(losses: np.ndarray, first_step: int) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            step, epoch = first_step + int(bad[0]), first_step // session.steps_per_epoch + 1
            raise NonFiniteLoss(words, step, epoch, float(losses[bad[0]]))

    for epoch in range(len(history), session.recipe.epochs):
        state, entry = session.train_epoch(state, epoch, watch, progress)
        if validation is not None:
            entry |= session.evaluate(state, validation, "validation_")
        history.append(entry)
        if directory is not None:
            save_checkpoint(directory, state, history, run)
        if progress is not None:
            progress(session.report(epoch, session.steps_per_epoch, entry, finished=True))
    return state, history
