"""What a field of a family may be: its annotation, and a range by its name."""

import collections.abc
import dataclasses
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import jax.numpy as jnp
import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.nn import ACTIVATIONS

__all__ = ["check_fields", "plain"]

# One number for each stage: they stand side by side, so they have one length where a row's have.
_STAGEWISE = frozenset(
    [
        "attentions",
        "blocks",
        "depths",
        "features",
        "growths",
        "inner",
        "outputs",
        "stages",
        "strides",
        "widths",
    ]
)
_MOST = 2**31 - 1


def plain(value: Any) -> Any:
    """Return a value with numpy's numbers as Python's and lists as tuples, which hash."""
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def check_fields(
    name: str, family: type, usual: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Raise `BadArgument` unless each of `given` can be a field of `family`.

    Args:
      name: the network's name, for the message.
      family: the class.
      usual: the fields of the network's row.
      given: what replaces them or the class's defaults, each the name of a field.

    Raises:
      BadArgument: another type than the field's, a number that is not finite or out of range (a
        rate below 0 or not below 1, a factor of width or depth not above 0, a count below 0 or
        below 1 where the row has none that is 0), another length than that of the fields beside it.
    """
    fields = {f.name: f for f in dataclasses.fields(family)}
    whole = {n: usual.get(n, f.default) for n, f in fields.items()}
    for field, value in given.items():
        allowed = fields[field].type
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            inside = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            check_fields(f"{name}: {field}", type(value), inside, inside)
        if field == "dtype":
            wrong = None if _is_float_type(value) else "a float type"
        elif not _fits(value, allowed):
            wrong = _words(allowed)
        else:
            wrong = _range(field, value, whole[field])
        if wrong:
            raise BadArgument(f"{name}: {field} is {value!r}; it must be {wrong}")
    _check_lengths(name, whole, given)


def _is_float_type(value: Any) -> bool:
    try:
        return value is not None and bool(jnp.issubdtype(jnp.dtype(value), jnp.floating))
    except TypeError:
        return False


def _fits(value: Any, allowed: Any) -> bool:
    """Tell whether `value` is of the annotated type; tuples are looked into, functions are not."""
    origin, inside = get_origin(allowed), get_args(allowed)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in inside)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inside[-1] is Ellipsis:
            return all(_fits(each, inside[0]) for each in value)
        return len(value) == len(inside) and all(map(_fits, value, inside))
    if origin is collections.abc.Callable:
        return callable(value)
    if allowed in (int, float):
        kinds = int if allowed is int else (int, float)
        # Of NaN every comparison is false.
        finite = isinstance(value, kinds) and abs(value) <= sys.float_info.max
        return finite and not isinstance(value, bool)
    return allowed is Any or value is allowed or isinstance(value, allowed)


def _words(allowed: Any) -> str:
    """Say what a type allows."""
    origin, inside = get_origin(allowed), get_args(allowed)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(each) for each in inside)
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if origin is tuple and inside[-1] is Ellipsis:
        return f"a tuple, each of it {_words(inside[0])}"
    if origin is tuple:
        kinds = sorted({*map(_words, inside)})
        return f"a tuple of {len(inside)}, each {' or '.join(kinds)}"
    if origin is collections.abc.Callable:
        return "a function or class"
    words = {int: "an integer", float: "a finite number", bool: "True or False", str: "text"}
    return "None" if allowed is type(None) else words.get(allowed, getattr(allowed, "__name__", ""))


def _range(field: str, value: Any, usual: Any) -> str | None:
    """Return what a value of the right type must be where it is out of range, else None."""
    if field == "act" and isinstance(value, str):
        return None if value in ACTIVATIONS else f"one of {', '.join(ACTIVATIONS)}"
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(type(number) in (int, float) for number in numbers):
        return None
    if field == "momentum" or field.endswith("_rate"):
        return None if 0 <= value < 1 else "a number in [0, 1)"
    if field == "epsilon" or field.endswith("_mult"):
        return None if value > 0 else "a number above 0"
    if isinstance(value, float):
        return None
    # A stage without blocks only strides; elsewhere 0 has a meaning where a row has it.
    may_be_none = field == "depths" or usual == 0 or (isinstance(usual, tuple) and 0 in usual)
    least = 0 if may_be_none else 1
    if all(least <= number <= _MOST for number in numbers):
        return None
    return f"{'integers' if isinstance(value, tuple) else 'an integer'} in {least}..{_MOST}"


def _check_lengths(name: str, usual: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise `BadArgument` where fields of one number a stage no longer have one length."""
    whole = {**usual, **given}
    for field in given:
        if field not in _STAGEWISE or not isinstance(usual[field], tuple):
            continue
        for other in sorted(_STAGEWISE & set(whole) - {field}):
            beside = usual[other]
            if not isinstance(beside, tuple) or len(beside) != len(usual[field]):
                continue
            if len(whole[other]) != len(whole[field]):
                raise BadArgument(
                    f"{name}: {field} has {len(whole[field])} entries; it must have "
                    f"{len(whole[other])}, as {other} has"
                )
