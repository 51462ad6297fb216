"""What a loop and a batch of runs cost: steps in one `lax.scan`, and seeds under `vmap`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.benchmark.case import Case
from cnnjax.benchmark.clock import timed
from cnnjax.benchmark.interleave import Takes
from cnnjax.benchmark.programs import batches, compile_program, initial_state, train_step_of

__all__ = ["scan_and_steps", "vmap_and_runs"]


class _Timed:
    """A function of nothing that computes something."""

    def __init__(self, compute: Callable[[], Any], facts: dict[str, Any]) -> None:
        self._compute, self.known = compute, facts

    def step(self) -> float:
        """Compute to the end and return the seconds."""
        return timed(self._compute)[0]


def scan_and_steps(case: Case, steps: int) -> dict[str, Takes]:
    """Return two ways to take the same training steps: `"scan"`, one program, and `"steps"`.

    Args:
        case: network and batch.
        steps: how many, each on a batch of its own.
    """
    key = jax.random.key(0)
    step = train_step_of(case)
    every = batches(case, steps)
    state = initial_state(case)
    apart = [jax.tree.map(lambda each, index=index: each[index], every) for index in range(steps)]

    def epoch(state: Any, every: Any, key: Any) -> Any:
        return jax.lax.scan(lambda carry, batch: step(carry, batch, key), state, every)

    whole = compile_program(epoch, (state, every, key), stock=False, donate=True)
    single = compile_program(step, (state, apart[0], key), stock=False, donate=True)
    states = {"scan": state, "steps": jax.tree.map(jnp.copy, state)}

    def scan() -> Any:
        states["scan"], metrics = whole.call(states["scan"], every, key)
        return states["scan"], metrics

    def one_by_one() -> Any:
        for batch in apart:
            states["steps"], metrics = single.call(states["steps"], batch, key)
        return states["steps"], metrics

    return {
        "scan": _Timed(scan, {"peak_bytes": whole.peak_bytes}),
        "steps": _Timed(one_by_one, {"peak_bytes": single.peak_bytes}),
    }


def vmap_and_runs(case: Case, seeds: int) -> dict[str, Takes]:
    """Return two ways to take one step of several runs: `"vmap"`, one program, and `"runs"`.

    Args:
        case: network and batch.
        seeds: how many runs, each with its own weights and its own batch.
    """
    keys = jax.random.split(jax.random.key(0), seeds)
    step = train_step_of(case)
    every = batches(case, seeds)
    apart = [jax.tree.map(lambda each, index=index: each[index], every) for index in range(seeds)]
    states = [initial_state(case, seed) for seed in range(seeds)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    whole = compile_program(jax.vmap(step), (stacked, every, keys), stock=False, donate=True)
    single = compile_program(step, (states[0], apart[0], keys[0]), stock=False, donate=True)
    together = {"state": stacked}

    def vmapped() -> Any:
        together["state"], metrics = whole.call(together["state"], every, keys)
        return together["state"], metrics

    def one_by_one() -> Any:
        for index, batch in enumerate(apart):
            states[index], _ = single.call(states[index], batch, keys[index])
        return states

    return {
        "vmap": _Timed(vmapped, {"peak_bytes": whole.peak_bytes}),
        "runs": _Timed(one_by_one, {"peak_bytes": single.peak_bytes}),
    }
