"""Averages of weights over a run: `(average, variables, step, steps) -> average`."""

import dataclasses
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from cnnjax.errors import bounded, number
from cnnjax.typing import Array, Variables

__all__ = ["EMA", "SWA", "Average", "Lookahead"]


class Average(Protocol):
    """What is evaluated in place of the weights of the last step.

    One that has a method `resumed(average, variables, step) -> variables`, of the new average, has
    the run go on with what that returns.
    """

    def __call__(self, average: Variables, variables: Variables, step: Array, steps: int) -> Any:
        """Return the new average of weights and statistics, a tree of the same form.

        Args:
            average: so far; at first the variables that the run starts with.
            variables: after this step.
            step: scalar int32, how many steps were taken before it.
            steps: how many there are in the run.
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

    def __call__(self, average: Variables, variables: Variables, step: Array, steps: int) -> Any:
        """Return the new average; arguments as of `Average`."""
        kept = jnp.minimum(self.decay, (1 + step) / (10 + step))
        return jax.tree.map(lambda old, new: new + kept * (old - new), average, variables)


@dataclasses.dataclass(frozen=True)
class SWA:
    """The plain mean of the weights at every so many steps of the last part of a run.

    Before that part the weights themselves. Statistics of norms are averaged with the weights.

    Attributes:
        start: the share of the run before it, in [0, 1).
        every: steps from one of the weights to the next, in 1..1,000,000.

    Raises:
        BadArgument: for a value outside these ranges.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima" (2018), algorithm 1.
    """

    start: float = 0.75
    every: int = 1

    def __post_init__(self) -> None:
        number("start", self.start, below=1)
        bounded("every", self.every, 1, 1_000_000)

    def __call__(self, average: Variables, variables: Variables, step: Array, steps: int) -> Any:
        """Return the new average; arguments as of `Average`."""
        since = step - round(self.start * steps)
        taken = since // self.every  # before this one
        share = jnp.where(since % self.every == 0, 1 / (taken + 1), 0.0)
        alone = taken <= 0

        def mean(old: Array, new: Array) -> Array:
            moved = old + share * (new - old)
            return jnp.where(alone & ((since < 0) | (share > 0)), new, moved)

        return jax.tree.map(mean, average, variables)


@dataclasses.dataclass(frozen=True)
class Lookahead:
    """Slow weights that move towards the fast ones every so many steps, and are put in their place.

    `slow + pace (fast - slow)`, at the end of the step. The slow weights are evaluated. Statistics
    of norms move with the weights; those of the optimizer stay. With a power p above 0 the pace
    falls from 1: at the share t of the run it is `1 - (1 - pace) t^p`.

    Attributes:
        every: steps from one move to the next, in 1..1,000,000.
        pace: in [0, 1): with a power of 0 that of every move, else the last one's.
        power: at least 0.

    Raises:
        BadArgument: for a value outside these ranges.

    Source: Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back" (2019), algorithm 1;
    the power: K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), where it is 3
    and the pace is 1 - 0.95^5.
    """

    every: int = 5
    pace: float = 0.5
    power: float = 0.0

    def __post_init__(self) -> None:
        bounded("every", self.every, 1, 1_000_000)
        number("pace", self.pace, below=1)
        number("power", self.power)

    def __call__(self, average: Variables, variables: Variables, step: Array, steps: int) -> Any:
        """Return the slow weights; arguments as of `Average`."""
        pace = 1 - (1 - self.pace) * ((step + 1) / steps) ** self.power
        due = self._due(step)
        return jax.tree.map(
            lambda slow, fast: jnp.where(due, slow + pace * (fast - slow), slow), average, variables
        )

    def resumed(self, average: Variables, variables: Variables, step: Array) -> Any:
        """Return what the run goes on with; arguments as of `Average`, of the new average."""
        due = self._due(step)
        return jax.tree.map(lambda slow, fast: jnp.where(due, slow, fast), average, variables)

    def _due(self, step: Array) -> Array:
        return (step + 1) % self.every == 0
