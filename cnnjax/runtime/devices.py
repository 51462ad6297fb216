"""The processors that this process may use."""

import os

__all__ = ["cores"]


def cores() -> int | None:
    """Return how many cores this process may run on; None where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()
