"""What a command's failure is called: one line and an exit status for whatever comes out of it."""

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import cnnjax
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import printable

__all__ = ["INTERRUPTED", "printable_lines", "worded"]

INTERRUPTED = "interrupted; the same command again goes on from what is saved"

_TOO_LARGE = ("RESOURCE_EXHAUSTED", "array is too big", "Maximum allowed dim", "size exceeding")
"""Parts of what XLA, numpy and JAX say about arrays that no memory holds."""

_PACKAGE = Path(cnnjax.__file__).parent


def worded(error: BaseException) -> tuple[int, str]:
    """Return the exit status of an error and the line that says what went wrong.

    2: an argument can never work; 1: the work could not be done. What nobody foresaw is called an
    internal error, with the place in this package where it came up: it must be reported, and a
    page of calls is no help to whom it happens to.
    """
    if isinstance(error, BadArgument):
        return 2, str(error)
    if isinstance(error, Failed):
        return 1, str(error)
    return 1, (
        _of_the_system(error)
        or _of_the_machine(error)
        or _of_jax(error)
        or f"internal error: {_name(error)} {_place(error)}; please report it "
        "(CNNJAX_TRACEBACK=1 shows where it happened)"
    )


def printable_lines(text: str) -> str:
    """Return text with all escaped that a terminal would obey, but for the ends of its lines."""
    return "\n".join(map(printable, text.split("\n")))


def _of_the_system(error: BaseException) -> str:
    if isinstance(error, OSError):
        if not error.strerror:
            return str(error) or type(error).__name__
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ImportError):
        return f"a package that this needs cannot be imported: {_first_line(error)}"
    if isinstance(error, UnicodeError):
        return f"a text cannot be written: {_first_line(error)}"
    return ""


def _of_the_machine(error: BaseException) -> str:
    """Memory, depth and width of numbers: numpy's, Python's and XLA's words for too much."""
    text = _first_line(error)
    if isinstance(error, MemoryError) or any(words in text for words in _TOO_LARGE):
        return (
            f"memory does not suffice{f' ({text})' if text else ''}; "
            "take a smaller batch, smaller images or fewer of them"
        )
    if isinstance(error, RecursionError):
        return f"something is nested too deeply ({text})"
    if isinstance(error, OverflowError):
        return f"a number is too large ({text})"
    return ""


def _of_jax(error: BaseException) -> str:
    """A platform that is not there, and what else XLA could not do."""
    jax = sys.modules.get("jax")
    if jax is None:
        return ""
    fault = _of_the_platform(error, jax)
    if fault is not None:
        asked, text = os.environ.get("JAX_PLATFORMS", ""), _first_line(fault)
        reason = f" ({text})" if text else ""
        return f"JAX_PLATFORMS: {asked!r} cannot be used here{reason}; allowed: cpu"
    return f"XLA: {_first_line(error)}" if isinstance(error, jax.errors.JaxRuntimeError) else ""


def _of_the_platform(error: BaseException, jax: Any) -> BaseException | None:
    """What JAX says of a platform that cannot be started, if that is the fault."""
    if "initialize backend" in str(error):
        return error
    try:
        jax.devices()
    except Exception as fault:  # also an AssertionError without a word
        return fault
    return None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")


def _name(error: BaseException) -> str:
    text = _first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """The innermost line of this package, `(train/fit.py:97)`."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_PACKAGE):
            return f"({path.relative_to(_PACKAGE)}:{frame.lineno})"
    return "(outside of cnnjax)"
