"""The one stopwatch of the benchmarks."""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import jax

__all__ = ["timed"]

Result = TypeVar("Result")


def timed(compute: Callable[[], Result]) -> tuple[float, Result]:
    """Return how many seconds something took until its arrays were there, and the arrays.

    A call of a compiled program returns before it has computed anything: without the wait a step
    would seem to take microseconds.
    """
    start = perf_counter()
    result = jax.block_until_ready(compute())
    return perf_counter() - start, result
