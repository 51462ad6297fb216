"""The two kinds of error that cnnjax raises on purpose, and how they word what is not allowed."""

import difflib
from collections.abc import Iterable

__all__ = ["BadArgument", "Failed", "bounded", "missing_extra", "unknown"]

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


def missing_extra(package: str, extra: str) -> Failed:
    """Return the error for an optional package that is not installed, naming the extra."""
    return Failed(f"this needs the package {package}: pip install 'cnnjax[{extra}]'")
