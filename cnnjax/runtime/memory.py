"""How much memory there is, looked at before much of it is asked for.

Linux grants more than it has and kills the process that then uses it, without a word.
"""

import sys
from pathlib import Path

from cnnjax.errors import Failed

__all__ = ["available_bytes", "need_bytes", "peak_resident_bytes"]

_MACHINE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Return how many bytes this process can still use; None where the system does not say.

    On Linux: what the kernel can give without swapping, or what is left to the process's control
    group if that is less.
    """
    try:
        lines = dict(line.split(":", 1) for line in _MACHINE.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None
    try:
        limit = int((_GROUP / "memory.max").read_text())  # "max" where there is none
        used = int((_GROUP / "memory.current").read_text())
        counts = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        # What files left in memory is given up where it is needed.
        return max(0, min(free, limit - used + int(counts["inactive_file"])))
    except (OSError, ValueError, KeyError):
        return free


def need_bytes(number: int, what: str, instead: str) -> None:
    """Raise `Failed` if so many bytes are not to be had.

    Args:
        number: of bytes that are about to be used.
        what: they are for.
        instead: what the user can do.
    """
    there = available_bytes()
    if there is not None and number > there:
        raise Failed(
            f"{what} takes {number / 2**30:,.1f} GiB of memory, and {there / 2**30:,.1f} GiB is "
            f"left; {instead}"
        )


def peak_resident_bytes() -> int | None:
    """Return the most memory that this process has held at once; None where nothing says."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
