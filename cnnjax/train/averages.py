"""Averages of weights over a run: `(average, variables, step) -> average`."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from cnnjax.errors import number
from cnnjax.typing import Array, Variables

__all__ = ["EMA", "Average"]


class Average(Protocol):
    """What is evaluated in place of the weights of the last step."""

    def __call__(self, average: Variables, variables: Variables, step: Array) -> Any:
        """Return the new average of weights and statistics, a tree of the same form.

        Args:
            average: so far; at first the variables that the run starts with.
            variables: after this step.
            step: scalar int32, how many steps were taken before it.
        """


@dataclasses.dataclass(frozen=True)
class EMA:
    """An exponential moving average, `d average + (1 - d) variables`.

    `d` is at most `(1 + step) / (10 + step)`: with a short memory at first, else the random initial
    weights would stay in the average for `1 / (1 - decay)` steps.

    Attributes:
        decay: per step, in [0, 1).
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        number("decay", self.decay, below=1)

    def __call__(self, average: Variables, variables: Variables, step: Array) -> Any:
        """Return the new average; arguments as of `Average`."""
        kept = jnp.minimum(self.decay, (1 + step) / (10 + step))
        return jax.tree.map(lambda old, new: new + kept * (old - new), average, variables)
