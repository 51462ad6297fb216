"""The two kinds of error that cnnjax raises on purpose, and how they word what is not allowed."""

import difflib
import math
import numbers
import struct
from collections.abc import Iterable

__all__ = ["BadArgument", "Failed", "bounded", "missing_extra", "number", "unknown"]

GUESSES = 3
"""So many near names are suggested at most."""


class BadArgument(ValueError):
    """An argument has a value that can never work; the command line exits with status 2."""


class Failed(RuntimeError):
    """The arguments are fine but the work could not be done; the command line exits with 1."""


def unknown(argument: str, value: object, allowed: Iterable[str]) -> BadArgument:
    """Return the error for a name that is not among the allowed ones, with the nearest of them.

    >>> unknown("network", "resnet81", ["resnet18", "vgg11"]).args[0]
    "network: unknown name 'resnet81'; did you mean 'resnet18'? (allowed: resnet18, vgg11)"
    """
    names = sorted(set(allowed))
    near = _near(str(value), names)
    guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    shown = ", ".join(names) if len(names) <= 24 else f"{', '.join(names[:8])}, ... {len(names)}"
    return BadArgument(f"{argument}: unknown name {value!r}{guess} (allowed: {shown})")


def _near(value: str, names: list[str]) -> list[str]:
    """Names that go on where the value ends at a whole word, then those that are spelled alike."""
    small = value.casefold()
    same = [name for name in names if name.casefold() == small]
    longer = [name for name in names if small and name.casefold().startswith(f"{small}_")]
    spelled = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(small, spelled, n=GUESSES, cutoff=0.6)
    alike = [spelled[each] for each in close]
    # The nearest first: of those that go on, the shortest.
    return list(dict.fromkeys([*same, *sorted(longer, key=len), *alike]))[:GUESSES]


def bounded(argument: str, value: int, least: int, most: int) -> int:
    """Return an integer that lies in a range.

    Args:
        argument: what the value is called, for the error.
        value: to be looked at.
        least: the smallest that is allowed.
        most: the largest.

    Raises:
        BadArgument: for one outside, a bool, or no integer.

    >>> bounded("top", 5, 1, 10)
    5
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadArgument(
            f"{argument}: received {value!r}, allowed: integers from {least} to {most}"
        )
    return value


def number(
    argument: str, value: object, below: float = math.inf, *, above_zero: bool = False
) -> None:
    """Raise `BadArgument` unless a value is a number in [0, below), as a float32 too.

    Args:
        argument: what the value is called, for the error.
        value: to be looked at.
        below: what it must be less than.
        above_zero: 0 is not allowed either.

    >>> number("warmup", 1.0, below=1)
    Traceback (most recent call last):
    cnnjax.errors.BadArgument: warmup: received 1.0, allowed: numbers in [0, 1)
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            exact = float(value)
            (rounded,) = struct.unpack("f", struct.pack("f", exact))
        except OverflowError:
            exact = rounded = math.inf
        if exact >= 0 and rounded < below and (rounded > 0 or not above_zero):
            return
    if below == math.inf:
        allowed = "numbers above 0" if above_zero else "finite numbers from 0"
    else:
        allowed = f"numbers in {'(' if above_zero else '['}0, {below:g})"
    raise BadArgument(f"{argument}: received {value!r}, allowed: {allowed}")


def missing_extra(package: str, extra: str) -> Failed:
    """Return the error for an optional package that is not installed, naming the extra."""
    return Failed(f"this needs the package {package}: pip install 'cnnjax[{extra}]'")
