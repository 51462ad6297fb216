"""What a loop and a batch of runs cost: steps in one `lax.scan`, and seeds under `vmap`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnnjax.benchmark.case import Case
from cnnjax.benchmark.clock import timed
from cnnjax.benchmark.interleave import Takes
from cnnjax.benchmark.programs import batches, compile_program, initial_state, train_step_of
from cnnjax.models import build

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
    model = build(case.network)
    step = train_step_of(model)
    images, labels = batches(case, steps, _classes(model))
    state = initial_state(model, case.image_shape)

    def epoch(state: Any, images: Any, labels: Any) -> Any:
        return jax.lax.scan(lambda carry, batch: step(carry, *batch), state, (images, labels))

    whole = compile_program(epoch, (state, images, labels), stock=False, donate=True)
    single = compile_program(step, (state, images[0], labels[0]), stock=False, donate=True)
    apart = [(images[index], labels[index]) for index in range(steps)]
    states = {"scan": state, "steps": jax.tree.map(jnp.copy, state)}

    def scan() -> Any:
        states["scan"], losses = whole.call(states["scan"], images, labels)
        return states["scan"], losses

    def one_by_one() -> Any:
        for batch in apart:
            states["steps"], loss = single.call(states["steps"], *batch)
        return states["steps"], loss

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
    model = build(case.network)
    step = train_step_of(model)
    images, labels = batches(case, seeds, _classes(model))
    states = [initial_state(model, case.image_shape, seed) for seed in range(seeds)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    whole = compile_program(jax.vmap(step), (stacked, images, labels), stock=False, donate=True)
    single = compile_program(step, (states[0], images[0], labels[0]), stock=False, donate=True)
    apart = [(images[index], labels[index]) for index in range(seeds)]
    together = {"state": stacked}

    def vmapped() -> Any:
        together["state"], losses = whole.call(together["state"], images, labels)
        return together["state"], losses

    def one_by_one() -> Any:
        for index, batch in enumerate(apart):
            states[index], _ = single.call(states[index], *batch)
        return states

    return {
        "vmap": _Timed(vmapped, {"peak_bytes": whole.peak_bytes}),
        "runs": _Timed(one_by_one, {"peak_bytes": single.peak_bytes}),
    }


def _classes(model: Any) -> int:
    return model.num_classes
