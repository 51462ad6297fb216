"""SIGTERM, by which schedulers take a machine away: the run is saved and ends with a status."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from cnnjax.train import Progress, Report

__all__ = ["TERMINATED", "Terminated", "Watched", "ended_by_sigterm"]

TERMINATED = os.EX_TEMPFAIL if hasattr(os, "EX_TEMPFAIL") else 75
"""The exit status: try again."""


class Terminated(Exception):
    """Raised in a run's progress after SIGTERM; the run is saved where it stands."""


class Watched:
    """A progress that passes reports on, and ends the run once it has been terminated."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self.told, self.terminated = progress, False, False

    def __call__(self, report: Report) -> None:
        """Pass a report on."""
        self.told = True
        if self._progress is not None:
            self._progress(report)
        if self.terminated and report.step < report.steps:
            raise Terminated


@contextlib.contextmanager
def ended_by_sigterm(progress: Progress | None) -> Iterator[Watched]:
    """Yield a progress that raises `Terminated` after SIGTERM, which until then ends nothing."""
    watched = Watched(progress)
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield watched
        return

    def note(number: int, frame: object) -> None:
        watched.terminated = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield watched
    finally:
        signal.signal(signal.SIGTERM, before)
