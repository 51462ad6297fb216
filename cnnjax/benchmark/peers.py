"""Who is measured: each peer prepares a case and then takes single steps when told to."""

from typing import Any, Protocol, Self

import jax
import numpy as np

from cnnjax.benchmark.case import Case
from cnnjax.benchmark.clock import timed
from cnnjax.benchmark.programs import compile_mode
from cnnjax.errors import Failed

__all__ = ["PEERS", "JaxPeer", "Peer"]

PEERS = {
    "ours": "this library's operations",
    "stock": "the identical program with the stock operations of jax.lax",
    "torch": "PyTorch, eager, channels last",
    "torch-compile": "PyTorch under torch.compile, channels last",
}


class Peer(Protocol):
    """Something that runs one step of a case at a time, and nothing between two of them."""

    def __enter__(self) -> Self:
        """Begin; the peer is ready for steps."""

    def __exit__(self, *exception: object) -> None:
        """Let go of memory and processes."""

    def step(self) -> float:
        """Run one step to its end and return its seconds."""

    def facts(self) -> dict[str, Any]:
        """Return what else is known: `peak_bytes`, compile seconds, versions."""


class JaxPeer:
    """A compiled program of this process: `cnnjax.ops`, or the stock operations."""

    def __init__(self, case: Case, mode: str, *, stock: bool) -> None:
        """Keep what to compile on entering."""
        self._case, self._mode, self._stock = case, mode, stock
        self._loss: Any = 0.0

    def __enter__(self) -> Self:
        """Compile and put the inputs on the device."""
        self._program, self._state, self._inputs = compile_mode(
            self._case, self._mode, stock=self._stock
        )
        jax.block_until_ready((self._state, self._inputs))
        return self

    def __exit__(self, *exception: object) -> None:
        """Drop the executable and the arrays."""
        del self._program, self._state, self._inputs

    def step(self) -> float:
        """Run one step to its end and return its seconds."""
        seconds, found = timed(lambda: self._program.call(self._state, *self._inputs))
        if self._mode == "train":
            self._state, metrics = found
            self._loss = metrics["loss"]
        return seconds

    def facts(self) -> dict[str, Any]:
        """Return XLA's memory and the compile time of this process, which a cache may shorten.

        Raises `Failed` if training left the finite numbers: the steps then cost something else.
        """
        if not np.isfinite(np.asarray(self._loss)):
            raise Failed(f"{self._case.label}: the loss of a timed step is not finite")
        return {
            "peak_bytes": self._program.peak_bytes,
            "lower_seconds": self._program.lower_seconds,
            "compile_seconds": self._program.compile_seconds,
        }
