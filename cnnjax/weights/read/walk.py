"""Finding the tensors in what a pickle holds, wherever somebody put them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from cnnjax.errors import Failed
from cnnjax.weights.read.pickles import Made, Named

__all__ = ["described", "walk"]

Tensor = TypeVar("Tensor")

_DEEPEST = 32  # checkpoints have three or four levels
_LONGEST = 1_000  # characters of a name with all that leads to it
_MOST = 100_000  # tensors; the largest networks have a few thousand


def walk(found: Any, tensor: Callable[[Made], Tensor | None]) -> list[tuple[str, str, Tensor]]:
    """Return the tensors in dictionaries, lists and objects: mapping, name and tensor of each.

    Mapping and name are as `Entry` has them. A pickled module is one mapping, with the names that
    its `state_dict()` has.

    Args:
        found: what `read_pickle` returns.
        tensor: returns the tensor that a call stands for, or None where it stands for none.

    Raises:
        Failed: for more tensors than any network has.
    """
    tensors: list[tuple[str, str, Tensor]] = []
    for mapping, name, view in _tensors(found, "", tensor, set()):
        tensors.append((mapping, name, view))
        if len(tensors) > _MOST:
            raise Failed(f"holds more than {_MOST:,} tensors")
    return tensors


def _tensors(
    value: Any, mapping: str, tensor: Callable[[Made], Tensor | None], seen: set[int]
) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the tensors in a value, looked at once: a pickle can put it into 2^40 places."""
    if id(value) in seen or mapping.count(".") > _DEEPEST:
        return
    seen.add(id(value))
    for number, (name, each) in enumerate(_named(value)):
        if number > _MOST and isinstance(value, Made):
            raise Failed(f"holds a module of more than {_MOST:,} parts")
        if len(mapping) + len(name) > _LONGEST:
            continue
        view = tensor(each) if isinstance(each, Made) else None
        if view is not None:
            yield mapping, name, view
        elif isinstance(each, dict | list | tuple | Made):
            yield from _tensors(each, f"{mapping}{name}.", tensor, seen)


def _named(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((str(key), each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return ((str(index), each) for index, each in enumerate(value))
    if isinstance(value, Made):
        attributes = _attributes(value)
        if _is_module(value):
            return _of_module(value, "", 0)
        return ((str(key), each) for key, each in (*attributes.items(), *value.items.items()))
    return ()


def _attributes(value: Any) -> dict[Any, Any]:
    state = value.state if isinstance(value, Made) else None
    if isinstance(state, tuple) and len(state) == 2:  # those in __dict__, and those in __slots__
        state = state[0]
    return state if isinstance(state, dict) else {}


def _is_module(value: Any) -> bool:
    return _is_script(value) or isinstance(_attributes(value).get("_modules"), dict)


def _is_script(value: Any) -> bool:
    """Tell whether a value is a module as TorchScript saves it, its parts among its attributes."""
    return isinstance(value, Made) and value.path.startswith("__torch__.")


def _of_module(module: Made, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield what a module's `state_dict()` holds, from the attributes of the pickled one.

    A module may be in several places, and has a name in each; so it may be in very many.
    """
    yield prefix, None  # to be counted
    attributes = _attributes(module)
    if _is_script(module):
        attributes = {"_parameters": attributes, "_modules": attributes}
    passing = attributes.get("_non_persistent_buffers_set")
    left_out = {key for key in passing if isinstance(key, str)} if isinstance(passing, list) else ()
    for kind in ("_parameters", "_buffers"):
        tensors = attributes.get(kind)
        for key, each in tensors.items() if isinstance(tensors, dict) else ():
            if key not in left_out and not _is_module(each):
                yield f"{prefix}{key}", each
    for key, each in attributes["_modules"].items():
        if _is_module(each) and depth < _DEEPEST:
            yield from _of_module(each, f"{prefix}{key}.", depth + 1)


def described(found: Any) -> list[str]:
    """Return a few words for each of the first things at the top of what a pickle holds.

    >>> described({"epoch": 3, "when": Made("datetime.date", ())})
    ['epoch (int)', 'when (datetime.date)']
    """
    if isinstance(found, dict):
        return [f"{key!s:.99} ({_kind(value)})" for key, value in islice(found.items(), 9)]
    return [_kind(found)]


def _kind(value: Any) -> str:
    return f"{value.path:.99}" if isinstance(value, Made | Named) else type(value).__name__
