"""The kind of this machine's processor, by which programs for it are chosen."""

import functools
import os
import platform
from pathlib import Path

from cnnjax.errors import unknown

__all__ = ["PROCESSORS", "kind_of", "processor"]

PROCESSORS = ("avx2", "avx512", "amx", "aarch64", "other")
"""The kinds, x86's by the widest of the instructions that matter to a convolution."""

_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def processor() -> str:
    """Return the kind of this machine's processor, one of `PROCESSORS`; looked at once.

    The environment variable `CNNJAX_PROCESSOR` names another.

    Raises:
        BadArgument: if it names none.
    """
    named = os.environ.get("CNNJAX_PROCESSOR", "")
    if not named:
        return kind_of(platform.machine(), _flags())
    if named not in PROCESSORS:
        raise unknown("CNNJAX_PROCESSOR", named, PROCESSORS)
    return named


def kind_of(machine: str, flags: frozenset[str] | None) -> str:
    """Return the kind of a processor.

    Args:
        machine: its architecture, as `platform.machine` calls it.
        flags: its features, as Linux calls them; None where the system does not say, and then an
            x86 is taken for the usual one.

    >>> kind_of("x86_64", frozenset({"avx2", "avx512f"}))
    'avx512'
    """
    name = machine.lower()
    if name in ("aarch64", "arm64"):
        return "aarch64"
    if name not in ("x86_64", "amd64"):
        return "other"
    if flags is None:
        return "avx2"
    needed = {"amx": {"amx_tile", "amx_bf16"}, "avx512": {"avx512f"}, "avx2": {"avx2"}}
    return next((kind for kind, some in needed.items() if some <= flags), "other")


def _flags() -> frozenset[str] | None:
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:  # of the first core; a machine can have hundreds
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return None
