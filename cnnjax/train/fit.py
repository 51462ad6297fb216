"""`fit`: a whole training run, from a key to trained weights."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from cnnjax.data import Source
from cnnjax.files import locked
from cnnjax.records import Logger
from cnnjax.train.arguments import check, check_keys, check_surroundings, normalization_of
from cnnjax.train.checkpoint import resumed
from cnnjax.train.course import Course, NonFiniteLoss, gone_through
from cnnjax.train.epochs import evaluated
from cnnjax.train.feed import feed_of
from cnnjax.train.hyper import Hyper
from cnnjax.train.placement import one_device
from cnnjax.train.plan import begun, plan_of, programs_of
from cnnjax.train.progress import Progress
from cnnjax.train.recipe import Recipe
from cnnjax.train.same import identity
from cnnjax.train.saving import Checkpointing, Saver, check_checkpointing, loggers_of
from cnnjax.train.standing import Standing
from cnnjax.train.state import TrainState
from cnnjax.typing import Key, Variables

__all__ = ["Run", "fit"]


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Attributes:
        state: after the last step.
        variables: the trained weights, `{"params": ..., "batch_stats": ...}`: averages
            where the recipe keeps them.
        history: per epoch `epoch` (from 1), `train_loss`, `train_accuracy` (both of augmented
            batches while training), `seconds`, `images_per_second`, with a validation set
            `validation_loss` and `validation_accuracy`, and each of the recipe's metrics likewise.
        test: `loss`, `accuracy` and the recipe's metrics on the test set after the last step; `{}`
            without one.
        mean: `[C]` float32, what normalization subtracted from images / 255.
        std: `[C]` float32, what it divided by.
        compile_seconds: tracing, lowering and compiling; almost 0 when an earlier run did it.
        train_seconds: the training steps of all epochs, without evaluation and checkpoints.
        failure: why the run ended early, in a `sweep`; None if it did not.
        stopped: whether its progress raised `StopTraining` before the last step.
    """

    state: TrainState
    variables: Variables
    history: list[dict[str, Any]]
    test: dict[str, Any]
    mean: np.ndarray
    std: np.ndarray
    compile_seconds: float
    train_seconds: float
    failure: NonFiniteLoss | None = None
    stopped: bool = False


def fit(
    model: Any,
    train_set: Source,
    test_set: Source | None,
    recipe: Recipe,
    hyper: Hyper,
    key: Key,
    *,
    validation: Source | None = None,
    variables: Variables | None = None,
    normalization: tuple[np.ndarray, np.ndarray] | None = None,
    progress: Progress | None = None,
    checkpoint_dir: str | Path | None = None,
    checkpointing: Checkpointing | None = None,
    loggers: Sequence[Logger] = (),
    log_every: int = 100,
    mesh: Mesh | None = None,
    stream: bool | None = None,
) -> Run:
    """Train a model and return its weights, its history and its accuracy on the test set.

    The same arguments give the same run, to the bit on a CPU. A second run with another key or
    other scalars compiles nothing.

    Args:
        model: a Linen module: `model.apply(variables, images, train=...)` gives logits `[B, K]`.
            One with auxiliary classifiers has an attribute `aux_weight`, see `make_train_step`.
        train_set: images and labels to learn from: a `cnnjax.data.Dataset`, or another `Source`.
        test_set: evaluated once, after the last step; None leaves it out.
        recipe: the static half of the settings.
        hyper: the scalars.
        key: the run's only source of randomness, from `jax.random.key` or `key_of`.
        validation: evaluated after every epoch.
        variables: weights to start from, such as `load_weights` returns; None draws them from the
            key. They are copied, as the model's types: those of a file may be bfloat16.
        normalization: `(mean [C], std [C])` of images / 255, such as those weights were trained
            with; None takes the training set's.
        progress: called while the run goes; see `show_progress`.
        checkpoint_dir: where the run is saved while it goes, and resumed from, inside of an epoch
            too; nobody else can train there meanwhile. It takes a model and a recipe that can be
            told from every other: see `cnnjax.train.identity.describe`.
        checkpointing: when it is saved, and what is kept; None is `Checkpointing()`.
        loggers: called every `log_every` steps and at the end of every epoch, see
            `cnnjax.records.Logger`. With a `checkpoint_dir` metrics.jsonl there is always written.
        log_every: so many steps, from 1.
        mesh: of `data_parallel_mesh`, to share each batch out over its devices.
        stream: read the batches while the steps run, in place of putting the training set on the
            device whole; None does where it would take more than half of the memory that is left.
            The run is the same, to rounding: another program takes its steps.

    Raises:
        BadArgument: if the sets do not fit each other or the model, variables are not the model's,
            the checkpoint is another run's, or the model cannot be told from another.
        NonFiniteLoss: at the first loss that is infinite or NaN.
        Failed: if a checkpoint is damaged or cannot be read, the directory cannot be written to
            at first, or another run holds it. Later a full disk is a warning.
    """
    check_surroundings(progress, checkpoint_dir, mesh)
    how = check_checkpointing(checkpointing, checkpoint_dir, validation)
    told = loggers_of(loggers, log_every, checkpoint_dir)
    check_keys([key])
    written = recipe
    recipe = check(model, recipe, [hyper], train_set, test_set, validation)
    mean, std = normalization_of(train_set, normalization)
    directory = None if checkpoint_dir is None else Path(checkpoint_dir)
    given = {"variables": variables, "normalization": normalization}
    start = {name: value for name, value in given.items() if value is not None}
    run = (
        identity(model, written, [hyper], [key], train_set, validation, start) if directory else {}
    )
    with contextlib.ExitStack() as stack:
        if directory is not None:
            stack.enter_context(locked(directory, "checkpoint_dir"))
        plan = plan_of(recipe, train_set, None, mesh or one_device())
        state, seconds = begun(model, plan, hyper, key, mean, std, variables)
        feed = feed_of(train_set, plan.mesh, stream)
        programs, more = programs_of(model, plan, feed, len(train_set), key, state)
        words = f"{type(model).__name__} on {train_set.name} with {hyper}"
        standing, saver = Standing(state), None
        if directory is not None:
            standing = resumed(directory, standing, run, plan)
            saver = stack.enter_context(Saver(directory, run, how, plan.steps_per_epoch))
        course = Course(model, programs, [words], validation, progress, saver, told, log_every)
        standing, later = gone_through(course, standing)
        if saver is not None:
            saver.now(standing)
        state, history = standing.state, standing.history
        test: dict[str, Any] = {}
        last = 0.0
        if test_set is not None:
            test, last = evaluated(model, plan, state, test_set)
    return Run(
        state=state,
        variables=state.variables,
        history=history,
        test=test,
        mean=mean,
        std=std,
        compile_seconds=seconds + more + later + last,
        train_seconds=sum(entry["seconds"] for entry in history) + standing.seconds,
        stopped=standing.stopped,
    )
