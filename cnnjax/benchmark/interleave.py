"""Steps of several peers taken in turn, A B C A B C ..., so that all meet the same machine.

A turn is three steps, and the third counts. In training one step follows another; while other
peers step, an operating system may take the idle memory back (MobileNetV2 on a virtual machine
that does, after pauses of 0.5 to 4 s: first steps 0.5 to 0.9 s, second ones 0.45 to 0.75, third
ones 0.44 to 0.53; all of the difference in the kernel).
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from cnnjax.benchmark.clock import timed

__all__ = ["Takes", "interleave", "matmul_rate", "ratios", "spread"]

WARM_SECONDS = 2.0
"""A peer is warmed up with a second step if its first took less: the first of a process still
meets cold caches and unmapped memory, which matters less the longer a step is."""

TURN = 3
"""Steps of a peer before the next peer has its turn; the last is timed."""

PAUSE_SECONDS = 0.005
"""Between two peers: OpenMP's threads go on spinning for about a millisecond after a step."""

MATMUL_SIDE = 2048


class Takes(Protocol):
    """Anything with a step that returns its seconds."""

    def step(self) -> float:
        """Run one step to its end and return its seconds."""


def interleave(
    peers: Mapping[str, Takes], rounds: int, patience: float
) -> dict[str, dict[str, Any]]:
    """Warm every peer up, then let each in turn take three steps and time the third.

    A peer whose first step takes longer than `patience` seconds takes no other: that step is its
    result, with `n` 1.

    Args:
        peers: by name, ready to step.
        rounds: turns of each, at least 1.
        patience: seconds.

    Returns:
        For each peer `{"seconds": [...], "n": ..., "warm_up": [...]}` with the seconds round by
        round, what the first step took included only where it is the result.
    """
    taken: dict[str, dict[str, Any]] = {}
    for name, peer in peers.items():
        warm_up = [peer.step()]
        if warm_up[0] < WARM_SECONDS:
            warm_up.append(peer.step())
        impatient = warm_up[0] > patience
        taken[name] = {"seconds": warm_up if impatient else [], "warm_up": warm_up}
    patient = [name for name in peers if not taken[name]["seconds"]]
    for _ in range(rounds):
        for name in patient:
            time.sleep(PAUSE_SECONDS)
            turn = [peers[name].step() for _ in range(TURN)]
            taken[name]["seconds"].append(turn[-1])
    for result in taken.values():
        result["n"] = len(result["seconds"])
    return taken


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return the median, least and largest of some seconds.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'min': 1.0, 'max': 3.0}
    """
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def ratios(seconds: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Return the spread of `seconds / reference`, pair by pair of the same round.

    Where one of the two has a single step, it is paired with every step of the other.

    >>> ratios([2.0, 6.0], [1.0, 2.0])["median"]
    2.5
    """
    count = max(len(seconds), len(reference))
    above = seconds if len(seconds) == count else list(seconds) * count
    below = reference if len(reference) == count else list(reference) * count
    return spread([a / b for a, b in zip(above, below, strict=True)])


def matmul_rate(repeats: int = 5) -> float:
    """Return the floating-point operations a second of a large float32 matrix product here.

    The median over `repeats` products of 2048 x 2048 by jax, after one that is not counted.
    """
    side = MATMUL_SIDE
    a = jax.random.normal(jax.random.key(0), (side, side), jnp.float32)
    product = jax.jit(jnp.matmul).lower(a, a).compile()
    jax.block_until_ready(product(a, a))
    seconds = [timed(lambda: product(a, a))[0] for _ in range(repeats)]
    return 2 * side**3 / statistics.median(seconds)
