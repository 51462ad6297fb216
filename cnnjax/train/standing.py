"""`Standing`: where a run stands between two steps, which is what a checkpoint holds."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from cnnjax.train.state import TrainState

__all__ = ["Standing"]


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a run stands between two steps; with several, their arrays have an axis of runs.

    Attributes:
        state: after the last step that was taken.
        history: an entry for each epoch that is over.
        seen: the metrics of the steps of the epoch that is not, `[steps, ...]`; `{}` at its start.
        seconds: that these steps took.
        failures: of runs whose loss was not finite, `{run: (step, loss)}`.
        stopped: whether its progress asked to stop.
    """

    state: TrainState
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seen: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    failures: Mapping[int, tuple[int, float]] = dataclasses.field(default_factory=dict)
    stopped: bool = False

    @property
    def taken(self) -> int:
        """How many steps of the epoch that is not over have been taken."""
        return len(self.seen["loss"]) if self.seen else 0
