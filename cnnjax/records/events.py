"""What is logged while a run goes: one small protocol, and who listens by it."""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from cnnjax.errors import Failed, missing_extra
from cnnjax.files import printable, replacing

__all__ = ["JsonLines", "Logger", "TensorBoard", "WeightsAndBiases"]


class Logger(Protocol):
    """Called every so many steps of a run and at the end of every epoch."""

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Take note of numbers by name.

        Args:
            step: how many steps the run has taken. A run that is resumed begins behind the last
                step that was saved: what was noted from the first step on that it names is void.
            values: `epoch`, from 1; of the steps since the last call in this epoch the means `loss`
                and `accuracy` and the recipe's metrics; at an epoch's end what its entry in the
                history has, such as `train_loss` and `validation_loss`. What has a number a class
                is `name/0`, `name/1`, ...; of several runs at once each has a call of its own,
                with its index as `run`.
        """


class JsonLines:
    """Keeps `{"step": ..., name: value, ...}` a line: `pandas.read_json(path, lines=True)`.

    A resumed run doubles no line and loses none. What is not finite is null.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path) -> None:
        self._path, self._begun = Path(path), False
        self._first: int | None = None

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Append a line; a full disk is told, and the run goes on."""
        numbers = {n: v if math.isfinite(v) else None for n, v in values.items()}
        line = json.dumps({"step": step, **numbers}).encode() + b"\n"
        if self._first is None:
            self._first = step
        try:
            if not self._begun:
                self._cut(self._first)
            self._begun = True
            with open(self._path, "ab", buffering=0) as stream:
                size = os.fstat(stream.fileno()).st_size
                try:
                    if stream.write(line) != len(line):
                        raise OSError("a line was written in part")
                except OSError:
                    with contextlib.suppress(OSError):
                        os.truncate(self._path, size)  # no half of a line stays
                    raise
        except (OSError, Failed) as error:
            reason = getattr(error, "strerror", None) or error
            warnings.warn(
                f"cannot write to {printable(str(self._path))}: {reason}; the run goes on",
                stacklevel=2,
            )

    def _cut(self, step: int) -> None:
        """Leave what was noted before a step: the rest comes again, or was written in part."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._path.exists():
            return
        lines = self._path.read_bytes().splitlines(keepends=True)
        kept = b"".join(line for line in lines if _before(line, step))
        if kept != b"".join(lines):
            with replacing(self._path) as stream:
                stream.write(kept)


def _before(line: bytes, step: int) -> bool:
    try:
        return line.endswith(b"\n") and json.loads(line)["step"] < step
    except (ValueError, KeyError, TypeError):
        return False


class TensorBoard:
    """Writes event files for TensorBoard; needs the extra `tensorboard`.

    Args:
        directory: of the event files.

    Raises:
        Failed: without the extra.
    """

    def __init__(self, directory: str | Path) -> None:
        try:
            import tensorboardX
        except ImportError:
            raise missing_extra("tensorboardX", "tensorboard") from None
        self._package, self._directory, self._writer = tensorboardX, directory, None

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Write scalars; `run` becomes a part of their names."""
        if self._writer is None:  # what an interrupted run wrote behind this step is void
            self._writer = self._package.SummaryWriter(str(self._directory), purge_step=step)
        writer: Any = self._writer
        prefix = f"run{int(values['run'])}/" if "run" in values else ""
        for name, value in values.items():
            if name != "run":
                writer.add_scalar(prefix + name, value, step)
        writer.flush()


class WeightsAndBiases:
    """Sends numbers to Weights & Biases, or keeps them where it is offline; extra `wandb`.

    Args:
        project: that the run belongs to.
        name: of the run; an interrupted one of this name goes on.
        directory: for its files.

    Raises:
        Failed: without the extra.
    """

    def __init__(self, project: str, name: str, directory: str | Path) -> None:
        try:
            import wandb
        except ImportError:
            raise missing_extra("wandb", "wandb") from None
        Path(directory).mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=project, name=name, id=name, dir=str(directory), resume="allow"
        )

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Log the numbers at this step."""
        self._run.log(dict(values), step=step)
