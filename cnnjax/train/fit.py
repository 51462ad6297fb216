"""`fit`: a whole training run, from a key to trained weights."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument, Failed
from cnnjax.train.arguments import check, check_variables, normalisation_of
from cnnjax.train.checkpoint import identity, prepare, restore, save_checkpoint
from cnnjax.train.evaluate import totals
from cnnjax.train.programs import (
    compiled,
    create_program,
    order_program,
    start_program,
    step_program,
)
from cnnjax.train.progress import Progress, Report
from cnnjax.train.recipe import Hyper, Recipe
from cnnjax.train.sharding import devices_in, replicated
from cnnjax.train.state import TrainState, images_to_start_from
from cnnjax.typing import Key, Variables

__all__ = ["NonFiniteLoss", "Run", "Session", "fit"]

# Losses are fetched this often and not after every step, for the host to stay ahead of the device.
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
            One that takes weights from images has a method `start_from`; see `create_state`.
        train_set: images and labels to learn from.
        test_set: evaluated once, after the last step; None leaves it out.
        recipe: the static half of the settings.
        hyper: the scalars.
        key: the run's only source of randomness, from `jax.random.key`.
        validation: evaluated after every epoch.
        variables: weights to start from, such as `load_weights` returns; None draws them from the
            key. They are copied.
        normalisation: `(mean [C], std [C])` of images / 255, such as those weights were trained
            with; None takes the training set's.
        progress: called while the run goes; see `show_progress`.
        checkpoint_dir: where the run is saved after every epoch, and resumed from.
        mesh: of `data_parallel_mesh`, to share each batch out over its devices.

    Raises:
        BadArgument: if the sets do not fit each other or the model, variables are not the model's,
            or the checkpoint is another run's.
        NonFiniteLoss: at the first loss that is infinite or NaN.
        Failed: if a checkpoint cannot be read or written.
    """
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
    session = Session(
        model,
        train_set,
        recipe,
        hyper,
        key,
        variables=variables,
        normalisation=normalisation,
        mesh=mesh,
    )
    state = session.state
    history: list[dict[str, Any]] = []
    if directory is not None:
        state, history = restore(directory, state, run) or (state, history)
        state = jax.device_put(state, replicated(mesh))

    def watch(losses: np.ndarray, first_step: int) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if bad.size:
            step, epoch = first_step + int(bad[0]), first_step // session.steps_per_epoch + 1
            words = f"{type(model).__name__} on {train_set.name} with {hyper}"
            raise NonFiniteLoss(words, step, epoch, float(losses[bad[0]]))

    for epoch in range(len(history), recipe.epochs):
        state, entry = session.train_epoch(state, epoch, watch, progress)
        if validation is not None:
            entry |= session.evaluate(state, validation, "validation_")
        history.append(entry)
        if directory is not None:
            save_checkpoint(directory, state, history, run)
        if progress is not None:
            progress(session.report(epoch, session.steps_per_epoch, entry, finished=entry))
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


class Session:
    """The compiled programs and device arrays of one run, or with `many` of several at once."""

    def __init__(
        self,
        model: Any,
        train_set: Dataset,
        recipe: Recipe,
        hyper: Hyper,
        key: Key,
        *,
        variables: Variables | None = None,
        normalisation: tuple[np.ndarray, np.ndarray] | None = None,
        many: bool = False,
        mesh: Mesh | None = None,
    ) -> None:
        self.batch_size = min(recipe.batch_size, len(train_set))
        if self.batch_size % devices_in(mesh):
            raise BadArgument(
                f"batch_size: {self.batch_size} cannot be shared out over {devices_in(mesh)} "
                "devices, allowed: its multiples"
            )
        self.images_per_step = self.batch_size * (len(key) if many else 1)
        self.model, self.recipe, self.many, self.mesh = model, recipe, many, mesh
        self.steps_per_epoch = len(train_set) // self.batch_size
        self.steps = recipe.epochs * self.steps_per_epoch
        self.mean, self.std = normalisation_of(train_set, normalisation)
        # Copies, because they go into the state, which the step donates.
        scalars = jax.tree.map(lambda x: jnp.array(x, jnp.float32, copy=True), hyper)
        mean, std = jnp.array(self.mean, copy=True), jnp.array(self.std, copy=True)
        whole = replicated(mesh)
        self.key, self.images, self.labels, self.indices = jax.device_put(
            (key, train_set.images, train_set.labels, np.arange(len(train_set))), whole
        )
        program = create_program(model, recipe, many)
        sample = images_to_start_from(model, train_set.images)
        arguments: tuple[Any, ...] = (sample, scalars, mean, std, key)
        if variables is not None:
            check_variables(variables, jax.eval_shape(program, *arguments))
            program, arguments = start_program(recipe), (variables, scalars, mean, std)
        create, seconds = compiled(program, *arguments, quick=jax.default_backend() == "cpu")
        self.state: TrainState = jax.device_put(create(*arguments), whole)
        self._order, order_seconds = compiled(
            order_program(many, mesh), self.key, np.int32(0), self.indices
        )
        order = self._order(self.key, np.int32(0), self.indices)
        self._step, step_seconds = compiled(
            step_program(model, recipe, self.batch_size, self.steps, many, mesh),
            self.state,
            self.images,
            self.labels,
            order,
            self.key,
        )
        self.compile_seconds = seconds + order_seconds + step_seconds

    def train_epoch(
        self,
        state: TrainState,
        epoch: int,
        watch: Callable[[np.ndarray, int], None],
        progress: Progress | None,
    ) -> tuple[TrainState, dict[str, Any]]:
        """Take an epoch's steps and return the new state and the epoch's entry in the history.

        `watch(losses, first step)` sees every loss, a few steps late. Values of the entry have a
        leading axis of runs with `many`.
        """
        start = look = time.perf_counter()
        order = self._order(self.key, np.int32(epoch), self.indices)
        waiting: list[Any] = []
        seen: list[Any] = []
        for index in range(self.steps_per_epoch):
            state, metrics = self._step(state, self.images, self.labels, order, self.key)
            waiting.append(metrics)
            last = index + 1 == self.steps_per_epoch
            if last or time.perf_counter() - look > _SECONDS_BETWEEN_LOOKS:
                first = epoch * self.steps_per_epoch + len(seen)
                fetched = jax.device_get(waiting)
                watch(np.stack([metrics["loss"] for metrics in fetched]), first)
                seen, waiting = seen + fetched, []
                look = time.perf_counter()
                if progress is not None and not last:
                    progress(self.report(epoch, len(seen), self._entry(epoch, seen, look - start)))
        return state, self._entry(epoch, seen, time.perf_counter() - start)

    def _entry(self, epoch: int, seen: list[Any], seconds: float) -> dict[str, Any]:
        means = {
            name: np.mean([metrics[name] for metrics in seen], axis=0, dtype=np.float64)
            for name in ("loss", "accuracy")
        }
        return {
            "epoch": epoch + 1,
            "train_loss": means["loss"] if self.many else float(means["loss"]),
            "train_accuracy": means["accuracy"] if self.many else float(means["accuracy"]),
            "seconds": seconds,
            "images_per_second": len(seen) * self.images_per_step / seconds,
        }

    def evaluate(self, state: TrainState, dataset: Dataset, prefix: str = "") -> dict[str, Any]:
        """Return loss and accuracy on a dataset, their names after the prefix."""
        sums, seconds = totals(
            self.model,
            state.variables,
            dataset,
            self.mean,
            self.std,
            loss=self.recipe.loss,
            many=self.many,
            mesh=self.mesh,
        )
        self.compile_seconds += seconds
        return {prefix + name: v if self.many else float(v) for name, v in sums.items()}

    def report(
        self, epoch: int, taken: int, entry: dict[str, Any], finished: dict[str, Any] | None = None
    ) -> Report:
        """Return where the run stands after `taken` steps of an epoch (from 0)."""
        step = epoch * self.steps_per_epoch + taken
        rate = entry["images_per_second"]
        return Report(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            step=step,
            steps=self.steps,
            loss=_mean_of_finite(entry["train_loss"]),
            accuracy=_mean_of_finite(entry["train_accuracy"]),
            images_per_second=rate,
            seconds_left=(self.steps - step) * self.images_per_step / rate,
            finished=finished,
        )


def _mean_of_finite(values: Any) -> float:
    finite = np.ravel(values)[np.isfinite(np.ravel(values))]
    return float(finite.mean()) if finite.size else float("nan")
