"""PyTorch as a peer: a process of another interpreter that takes one step when asked."""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Annotated, Any, Self, TypedDict

from msgspec import Meta

from cnnjax.benchmark import torch_peer
from cnnjax.benchmark.case import Case
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import checked, decoded, printable

__all__ = ["Torch", "TorchPeer"]


class _Step(TypedDict):
    seconds: Annotated[float, Meta(gt=0)]


class Torch:
    """The interpreter that has PyTorch, and what it imports before torchvision.

    Raises:
        BadArgument: if the interpreter does not exist.
    """

    def __init__(self, python: str, prelude: str | None = None) -> None:
        """Check that there is such a program."""
        if not os.access(python, os.X_OK) or Path(python).is_dir():
            raise BadArgument(
                f"torch: {python} is not an interpreter; allowed: the path of a python"
            )
        self.python, self.prelude = python, prelude


class TorchPeer:
    """A case in PyTorch: a process that sleeps on its pipe between two steps."""

    def __init__(
        self, torch: Torch, case: Case, mode: str, *, compiled: bool, parameters: int, threads: int
    ) -> None:
        """Keep what to prepare on entering.

        Args:
            torch: the interpreter.
            case: what to measure.
            mode: "train" or "forward".
            compiled: under `torch.compile`.
            parameters: learnable scalars that the network must have to be the same network.
            threads: of PyTorch.
        """
        self._torch, self._label = torch, case.label
        self._request = {
            "do": "prepare",
            "network": case.name,
            "batch": case.batch,
            "image_size": case.image_size,
            "channels": case.image_shape[2],
            "mode": mode,
            "compile": compiled,
            "parameters": parameters,
            "threads": threads,
            "prelude": torch.prelude,
        }

    def __enter__(self) -> Self:
        """Start the process and let it build the network.

        Raises `Failed` if that interpreter cannot, or its network is another one.
        """
        self._errors: IO[str] = tempfile.TemporaryFile("w+")
        threads = str(self._request["threads"])
        try:
            self._process = subprocess.Popen(
                [self._torch.python, torch_peer.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": threads},
            )
        except OSError as error:
            self._errors.close()
            raise Failed(f"torch: cannot start {self._torch.python}: {error}") from error
        try:
            self._prepared = self._ask(self._request)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def step(self) -> float:
        """Run one step there and return its seconds, measured there."""
        answer = self._ask({"do": "step"})
        return checked(answer, _Step, f"torch: {self._label}: what the process answered")["seconds"]

    def facts(self) -> dict[str, Any]:
        """Return the peak resident bytes of the whole process, its compile time and versions."""
        return {**self._prepared, **self._ask({"do": "facts"})}

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):  # if it ended, what it said last is read below
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or ["nothing on standard error"]
            raise Failed(f"torch: {self._label}: the process ended: {printable(said[-1])}")
        answer = decoded(line, dict[str, Any], f"torch: {self._label}: what the process answered")
        if "error" in answer:
            raise Failed(f"torch: {self._label}: {printable(str(answer['error']))}")
        return answer
