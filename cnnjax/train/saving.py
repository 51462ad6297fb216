"""When a run is saved, in the background, and which of its checkpoints are kept."""

import concurrent.futures
import dataclasses
import math
import shutil
import time
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnjax.errors import BadArgument, bounded, number
from cnnjax.files import printable
from cnnjax.records import JsonLines, Logger
from cnnjax.train.checkpoint import (
    CHECKPOINTS,
    path_of,
    prepare,
    remove_unfinished,
    saved_steps,
    taken_off,
    write_checkpoint,
)
from cnnjax.train.standing import Standing

__all__ = ["METRICS", "Checkpointing", "Saver", "check_checkpointing", "loggers_of"]

METRICS = "metrics.jsonl"
"""What a run with a directory logs there."""

_MOST = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Checkpointing:
    """When a run is saved, besides at the end of its epochs, and what is kept.

    A checkpoint is written while the run goes on. At the end of an epoch, and when `every_seconds`
    are over, there is none where the one before is still being written; those of `every_steps`, and
    all with `best`, wait for it.

    Attributes:
        every_steps: also after so many steps, in 1..1e9; None does not count them.
        every_seconds: also when so many seconds are over since the last, above 0.
        last: the newest so many are kept, from 1.
        best: and those of the best epochs by a metric of the validation set, from 0.
        best_by: its name in the history.
        lowest: whether the lowest of it is the best.
    """

    every_steps: int | None = None
    every_seconds: float = 300.0
    last: int = 1
    best: int = 0
    best_by: str = "validation_accuracy"
    lowest: bool = False

    def __post_init__(self) -> None:
        if self.every_steps is not None:
            bounded("every_steps", self.every_steps, 1, _MOST)
        number("every_seconds", self.every_seconds, above_zero=True)
        bounded("last", self.last, 1, _MOST)
        bounded("best", self.best, 0, _MOST)

    def kept(self, steps: list[int], history: list[dict[str, Any]], per_epoch: int) -> set[int]:
        """Return which checkpoints are kept of those after these steps.

        Args:
            steps: in order.
            history: with `best_by`, by epochs; with several runs it is their mean that counts.
            per_epoch: how many steps an epoch has.
        """
        ranked = {}
        for step in steps:
            epoch, rest = divmod(step, per_epoch)
            if self.best and not rest and 0 < epoch <= len(history):
                value = float(np.mean(history[epoch - 1][self.best_by]))
                if not math.isnan(value):
                    ranked[step] = value if self.lowest else -value
        best = sorted(ranked, key=lambda step: (ranked[step], step))[: self.best]
        return {*steps[-self.last :], *best}


class Saver:
    """Saves one run, as `Checkpointing` says, with a thread that writes one at a time.

    Args:
        directory: of the run; the caller holds it.
        run: of `cnnjax.train.same.identity`.
        how: when, and what is kept.
        per_epoch: how many steps an epoch has.
    """

    def __init__(
        self, directory: Path, run: dict[str, Any], how: Checkpointing, per_epoch: int
    ) -> None:
        self._directory, self._run, self._how, self._per_epoch = directory, run, how, per_epoch
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "cnnjax-checkpoint")
        self._writing: concurrent.futures.Future[None] | None = None
        self._saved = max(saved_steps(directory), default=-1)
        self._time = time.monotonic()
        prepare(directory)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._wait()
        self._thread.shutdown()

    def steps_until_due(self, step: int) -> int:
        """Return how many steps can be taken after a step before one is to be saved."""
        every = self._how.every_steps
        return _MOST if every is None else every - step % every

    def after_chunk(self, standing: Standing) -> None:
        """Save it if it is due."""
        every = self._how.every_steps
        asked = every is not None and self._step(standing) % every == 0
        late = time.monotonic() - self._time > self._how.every_seconds
        if asked or (late and not self._busy()):
            self.now(standing)

    def after_epoch(self, standing: Standing) -> None:
        """Save it, unless the one before is being written and nothing asks for each."""
        if self._how.every_steps is not None or self._how.best or not self._busy():
            self.now(standing)

    def now(self, standing: Standing) -> None:
        """Save it, unless it is saved."""
        self._wait()
        step = self._step(standing)
        if step == self._saved:
            return
        arrays = taken_off(standing)
        self._saved, self._time = step, time.monotonic()
        self._writing = self._thread.submit(self._write, step, arrays, standing)

    def _step(self, standing: Standing) -> int:
        return len(standing.history) * self._per_epoch + standing.taken

    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def _write(self, step: int, arrays: dict[str, np.ndarray], standing: Standing) -> None:
        write_checkpoint(path_of(self._directory, step), arrays, standing, self._run)
        steps = saved_steps(self._directory)
        for other in set(steps) - self._how.kept(steps, standing.history, self._per_epoch):
            path = path_of(self._directory, other)
            # Killed in between, half of it is not taken for a checkpoint.
            gone = path.rename(path.with_name(f"{path.name}.removed-tmp"))
            shutil.rmtree(gone, ignore_errors=True)

    def _wait(self) -> None:
        """Wait for what is being written; say it where that failed, for the run goes on."""
        if self._writing is None:
            return
        error = self._writing.exception()
        self._writing = None
        if error is not None:
            self._saved = -1
            remove_unfinished(self._directory / CHECKPOINTS)
            words = printable(str(error).strip().split("\n")[0][-200:])
            warnings.warn(
                f"checkpoint_dir: cannot write to {printable(str(self._directory))}: {words}; the "
                "run goes on, the last good checkpoint is kept",
                stacklevel=2,
            )


def check_checkpointing(how: Any, directory: Any, validation: Any) -> Checkpointing:
    """Return how a run is saved, by default as `Checkpointing()`.

    Raises:
        BadArgument: for another value, one without a directory, and for the best by a validation
            set where there is none.
    """
    if how is None:
        return Checkpointing()
    if not isinstance(how, Checkpointing):
        raise BadArgument(
            f"checkpointing: received {how!r}; allowed: a Checkpointing, such as "
            "Checkpointing(every_steps=1000)"
        )
    if directory is None:
        raise BadArgument("checkpointing: there is no checkpoint_dir; allowed: with one")
    if how.best and validation is None:
        raise BadArgument(f"best: received {how.best} without a validation set; allowed: 0")
    return how


def loggers_of(given: Any, log_every: Any, directory: str | Path | None) -> list[Logger]:
    """Return who is told of a run: those given, and before them the file in its directory.

    Raises:
        BadArgument: for what cannot be called, and a number of steps below 1.
    """
    bounded("log_every", log_every, 1, _MOST)
    if not isinstance(given, Sequence) or not all(callable(each) for each in given):
        raise BadArgument(
            f"loggers: received {given!r}; allowed: a sequence of functions of a step and values"
        )
    own: list[Logger] = [] if directory is None else [JsonLines(Path(directory) / METRICS)]
    return own + list(given)
