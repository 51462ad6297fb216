"""What a user waits for: a step's compilation in a new process, with an empty and a filled cache.

    python -m cnnjax.benchmark.fresh '{"network": ..., "batch": ..., "image_size": ..., ...}'

compiles one program and prints what that took as JSON; `measure_fresh` calls it twice.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

from cnnjax.benchmark.case import Case
from cnnjax.benchmark.programs import compile_mode
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import decoded
from cnnjax.runtime import peak_resident_bytes

__all__ = ["check_named", "main", "measure_fresh"]


def measure_fresh(case: Case, mode: str, *, stock: bool, run: bool) -> dict[str, Any]:
    """Compile a case in two processes that share a persistent cache, empty at first.

    Args:
        case: what to compile.
        mode: "train" or "forward".
        stock: with the stock operations.
        run: let the second process take one step too, to see its peak memory.

    Returns:
        `cold` and `warm`: `lower_seconds` (tracing and lowering), `compile_seconds` (XLA, or
        loading from the cache) and `cpu_seconds` (processor time of both) of the two processes;
        `peak_bytes` by XLA's account; `peak_rss_bytes` of the second process if it ran a step, None
        where the system does not say.

    Raises:
        BadArgument: for a module, which that process could not make again.
        Failed: if a process does not end well.
    """
    check_named(case)
    request = {
        "network": case.name,
        "batch": case.batch,
        "image_size": case.image_size,
        "mode": mode,
        "stock": stock,
    }
    with tempfile.TemporaryDirectory(prefix="cnnjax-bench-") as directory:
        cold = _call({**request, "run": False}, directory)
        warm = _call({**request, "run": run}, directory)
    seconds = ("lower_seconds", "compile_seconds", "cpu_seconds")
    found = {
        "cold": {name: cold[name] for name in seconds},
        "warm": {name: warm[name] for name in seconds},
        "peak_bytes": cold["peak_bytes"],
    }
    return {**found, "peak_rss_bytes": warm["peak_rss_bytes"]} if run else found


def check_named(case: Case) -> None:
    """Raise `BadArgument` for a module, which another process could not make again."""
    if not isinstance(case.network, str):
        raise BadArgument(
            "mode: compile makes the network anew in other processes, by its name, and "
            f"{case.name!r} is a module; allowed for it: train, forward"
        )


def _call(request: dict[str, Any], cache: str) -> dict[str, Any]:
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # Where this package is, also if it is not installed.
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
        ),
    }
    done = subprocess.run(
        [sys.executable, "-m", "cnnjax.benchmark.fresh", json.dumps(request)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing on standard error"]
        raise Failed(f"{request['network']}: compiling in a process of its own failed: {said[-1]}")
    said = done.stdout.splitlines() or [""]
    return decoded(said[-1], dict[str, Any], f"{request['network']}: what a process answered")


def main() -> None:
    """Compile what the first argument asks for and print what that took."""
    request = json.loads(sys.argv[1])
    case = Case(request["network"], request["batch"], request["image_size"])
    jax.block_until_ready(jax.numpy.zeros(1))  # the backend starts before the clock does
    program, state, inputs = compile_mode(case, request["mode"], stock=request["stock"])
    answer: dict[str, Any] = {
        "lower_seconds": program.lower_seconds,
        "compile_seconds": program.compile_seconds,
        "cpu_seconds": program.cpu_seconds,
        "peak_bytes": program.peak_bytes,
    }
    if request["run"]:
        jax.block_until_ready(program.call(state, *inputs))
        answer["peak_rss_bytes"] = peak_resident_bytes()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
