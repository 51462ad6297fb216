"""Where results come from: versions, the commit, the machine, the command."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax

from cnnjax import __version__
from cnnjax.runtime import cores, processor

__all__ = ["command_line", "commit", "hardware", "here", "now", "versions"]


def here() -> dict[str, Any]:
    """Return `versions`, `commit` and `hardware`: where a result of this process comes from."""
    return {"versions": versions(), "commit": commit(), "hardware": hardware()}


def now() -> str:
    """Return the date and time, UTC, to the second: `2026-01-02T03:04:05+00:00`."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return the versions of Python, cnnjax and what computes."""
    found = {"python": platform.python_version(), "cnnjax": __version__}
    for package in ("jax", "jaxlib", "flax", "optax", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a build without metadata
            found[package] = "unknown"
    return found


def commit(directory: Path | None = None) -> dict[str, Any] | None:
    """Return `{"hash", "dirty"}` of the checkout that the package is in; None outside of one.

    `dirty` is true if a file differs from the commit or is new. A package installed inside
    another project's checkout does not belong to that project's commit.

    Args:
        directory: of the package.
    """
    directory = directory or Path(__file__).parents[1]
    if _git(directory, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head, status = _git(directory, "rev-parse", "HEAD"), _git(directory, "status", "--porcelain")
    if head is None or status is None:
        return None
    return {"hash": head.strip(), "dirty": bool(status.strip())}


def hardware() -> dict[str, Any]:
    """Return the processor and its kind, its cores, the memory in bytes, devices, the allocator."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # not on every system
        memory = None
    return {
        "cpu": _processor(),
        # The programs of `cnnjax.ops` are chosen by it.
        "processor": processor(),
        "cores": cores(),
        "memory_bytes": memory,
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "system": f"{platform.system()} {platform.machine()}",
        # Huge pages change the time of a step by a third.
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
    }


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command of this process as a shell takes it, without the path to the program."""
    program, *rest = sys.argv if arguments is None else arguments
    name = Path(program).name
    if name == "__main__.py":
        return shlex.join(["python", "-m", Path(program).parent.name, *rest])
    if name.endswith(".py"):
        return shlex.join(["python", os.path.relpath(program), *rest])
    return shlex.join([name, *rest])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(directory: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
