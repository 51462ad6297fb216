"""The two kinds of error that cnnjax raises on purpose, and how they word a wrong name."""

import difflib
from collections.abc import Iterable

__all__ = ["BadArgument", "Failed", "missing_extra", "unknown"]


class BadArgument(ValueError):
    """An argument has a value that can never work; the command line exits with status 2."""


class Failed(RuntimeError):
    """The arguments are fine but the work could not be done; the command line exits with 1."""


def unknown(argument: str, value: object, allowed: Iterable[str]) -> BadArgument:
    """Return the error for a name that is not among the allowed ones, with the nearest of them.

    >>> unknown("network", "resnet81", ["resnet18", "vgg11"]).args[0]
    "network: unknown name 'resnet81'; did you mean 'resnet18'? (allowed: resnet18, vgg11)"
    """
    names = sorted(allowed)
    near = difflib.get_close_matches(str(value), names, n=3, cutoff=0.6)
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    shown = ", ".join(names) if len(names) <= 24 else f"{', '.join(names[:8])}, ... {len(names)}"
    return BadArgument(f"{argument}: unknown name {value!r}{guess} (allowed: {shown})")


def missing_extra(package: str, extra: str) -> Failed:
    """Return the error for an optional package that is not installed, naming the extra."""
    return Failed(f"this needs the package {package}: pip install 'cnnjax[{extra}]'")
