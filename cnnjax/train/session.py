"""The compiled programs and device arrays of a run, which take its epochs one by one."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cnnjax.data.dataset import Dataset
from cnnjax.errors import BadArgument
from cnnjax.train.arguments import fitting_variables, normalisation_of
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

__all__ = ["Session"]

# Losses are fetched this often and not after every step, for the host to stay ahead of the device.
_SECONDS_BETWEEN_LOOKS = 0.5

_MOST_STEPS = 2**31 - 1  # they are counted in an int32


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
        frozen: bool = False,
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
        if self.steps > _MOST_STEPS:
            raise BadArgument(f"epochs: {self.steps} steps; allowed: up to {_MOST_STEPS}")
        self.failed: set[int] = set()  # indices of runs, with many
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
            given = fitting_variables(variables, jax.eval_shape(program, *arguments))
            program, arguments = start_program(recipe), (given, scalars, mean, std)
        create, seconds = compiled(program, *arguments, quick=jax.default_backend() == "cpu")
        self.state: TrainState = jax.device_put(create(*arguments), whole)
        self._order, order_seconds = compiled(
            order_program(many, mesh), self.key, np.int32(0), self.indices
        )
        order = self._order(self.key, np.int32(0), self.indices)
        self._step, step_seconds = compiled(
            step_program(model, recipe, self.batch_size, self.steps, frozen, many, mesh),
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
        self, epoch: int, taken: int, entry: dict[str, Any], *, finished: bool = False
    ) -> Report:
        """Return where the run stands after `taken` steps of an epoch (from 0).

        With `many`, its numbers are means over the runs that have not failed.
        """
        step = epoch * self.steps_per_epoch + taken
        numbers = {name: self._mean(value) for name, value in entry.items()}
        rate = entry["images_per_second"]
        return Report(
            epoch=epoch + 1,
            epochs=self.recipe.epochs,
            step=step,
            steps=self.steps,
            loss=numbers["train_loss"],
            accuracy=numbers["train_accuracy"],
            images_per_second=rate,
            seconds_left=(self.steps - step) * self.images_per_step / rate,
            finished=numbers if finished else None,
        )

    def _mean(self, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        kept = np.delete(value, sorted(self.failed))
        return float(kept.mean()) if kept.size else float("nan")
