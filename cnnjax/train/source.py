"""The source of a user's own code: what keeps its name while its body changes from run to run."""

import functools
import hashlib
import inspect
import site
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["in_a_library", "source_digest"]


def source_digest(value: Any) -> str | None:
    """Return the SHA-256, in hexadecimal, of the source of a function or class; None for a library.

    With that of the bases of a class, and of the functions, classes and plain constants of the
    user's that their code names, and so on: a network is the same only if its blocks are. What is
    reached in other ways, such as an attribute that is computed, is not looked at.

    Raises:
        OSError, TypeError: where the source of the value itself cannot be read.
    """
    if _is_of_a_library(value):
        return None
    texts, seen, waiting = [_source(value)], {id(value)}, [*_used_by(value)]
    while waiting:
        name, each = waiting.pop(0)
        if _is_plain(each):
            texts.append(f"{name} = {each!r}")
        elif _is_code(each) and id(each) not in seen and not _is_of_a_library(each):
            seen.add(id(each))
            waiting += _used_by(each)
            try:
                texts.append(_source(each))
            except (OSError, TypeError):  # made by a call, such as a namedtuple
                texts.append(f"{name} = {each.__module__}.{each.__qualname__}")
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def in_a_library(file: str) -> bool:
    """Return whether a file is of cnnjax, of Python, or of what pip installs."""
    return any(Path(file).is_relative_to(place) for place in _places())


@functools.lru_cache(maxsize=1)
def _places() -> tuple[str, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    own = str(Path(__file__).parents[1])
    return (own, *(sysconfig.get_path(kind) for kind in kinds), *site.getsitepackages())


def _source(value: Any) -> str:
    code = inspect.unwrap(value)
    file = getattr(getattr(code, "__code__", None), "co_filename", "")
    if file in ("<string>", "<stdin>"):  # Python 3.13 may show other text under these names
        raise OSError(f"its code is from {file}")
    return inspect.getsource(code)


def _is_plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str)


def _is_code(value: Any) -> bool:
    return isinstance(value, type) or isinstance(inspect.unwrap(value), types.FunctionType)


def _is_of_a_library(value: Any) -> bool:
    named = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    file = getattr(sys.modules.get(str(named)), "__file__", None)
    return named in sys.builtin_module_names if file is None else in_a_library(file)


def _used_by(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of what a function's code names, or a class's bases and members."""
    if isinstance(value, type):
        yield from ((base.__name__, base) for base in value.__bases__)
        for name, member in vars(value).items():
            inner = getattr(member, "__func__", getattr(member, "fget", member))
            if isinstance(inner, type):
                yield name, inner
            elif callable(inner):
                yield from _used_by(inner)
        return
    function = inspect.unwrap(value)
    if not isinstance(function, types.FunctionType):
        return
    names = sorted(name for name in _names(function.__code__) if name[:2] != "__")
    for name in names:
        found = function.__globals__.get(name)
        yield name, found
        if isinstance(found, types.ModuleType) and not _is_of_a_library(found):
            yield from ((each, getattr(found, each, None)) for each in names)


def _names(code: types.CodeType) -> set[str]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))
