"""How a run reports while it goes: the callback's protocol, and one for people to look at."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["Progress", "Report", "StopTraining", "show_progress"]


class StopTraining(Exception):
    """Raised by a progress callback: the run ends here and is kept, its test result included."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Where a run stands.

    Attributes:
        epoch: the one being trained, from 1.
        epochs: how many there are.
        step: steps taken since the run began.
        steps: how many there are.
        loss: mean of the epoch so far.
        accuracy: mean of the epoch so far, on augmented training images, in 0..1.
        images_per_second: of the epoch so far.
        seconds_left: of training, at this rate.
        finished: the epoch's entry in the history, once it is over; None before.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float
    seconds_left: float
    finished: dict[str, Any] | None = None


class Progress(Protocol):
    """Called about twice a second while a run trains, and once after every epoch."""

    def __call__(self, report: Report) -> None:
        """Take note; `StopTraining` raised here ends the run early and keeps what it has come to.

        Any other exception ends it and is raised; with a checkpoint directory it can go on.
        """


@contextlib.contextmanager
def show_progress(name: str) -> Iterator[Progress]:
    """Yield a callback that shows a run called `name` on standard output.

    A bar with loss, accuracy, rate and time left on a terminal; elsewhere one line per epoch.
    """
    if not sys.stdout.isatty():
        yield lambda report: _print_epoch(name, report)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns) as bars:
        task = bars.add_task(name, total=None, text="compiling")

        def update(report: Report) -> None:
            bars.update(task, total=report.steps, completed=report.step, text=_describe(report))

        yield update


def _print_epoch(name: str, report: Report) -> None:
    if report.finished is not None:
        print(f"{name}  {_describe(report)}", flush=True)


def _describe(report: Report) -> str:
    minutes, seconds = divmod(round(report.seconds_left), 60)
    parts = [
        f"epoch {report.epoch}/{report.epochs}",
        f"loss {report.loss:.4f}",
        f"accuracy {report.accuracy:.2%}",
        f"{report.images_per_second:,.0f} images/s",
        f"{minutes}:{seconds:02d} left",
    ]
    if report.finished is not None and "validation_accuracy" in report.finished:
        parts.insert(3, f"validation {report.finished['validation_accuracy']:.2%}")
    return "  ".join(parts)
