"""What makes a run this run, as JSON: two values are the same only where nothing tells them apart.

A value is written down by what it is made of. What a library or a module defines is named by its
module and name, if that is where it is found; a user's own code has a digest of its source, and of
what it uses, beside the name. A lambda, or a function that was made inside a user's function, has
neither: it trains, but is refused where something would be read back because it "is the same".
"""

import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib
import json
import sys
import types
from typing import Any

import jax
import numpy as np

from cnnjax.errors import BadArgument, unknown
from cnnjax.files import printable
from cnnjax.train.source import in_a_library, source_digest

__all__ = ["describe", "fingerprint", "revived"]


def describe(value: Any, argument: str = "checkpoint_dir", where: str = "model") -> Any:
    """Return a value as JSON that differs from that of every other value, in any process.

    Args:
        value: a module, a frozen dataclass, a function or class of a module, a
            `functools.partial`, an array, a dtype, an enumeration, a number, a text, None, or a
            tuple, list, dictionary or set of these.
        argument: what needs it to be identified, for the error.
        where: what the value is, for the error.

    Raises:
        BadArgument: for anything else, such as a lambda or a function made by a user's function.
    """
    try:
        return _described(value, where)
    except _Unknown as error:
        raise BadArgument(
            f"{argument}: {error}, so that another could be taken for it; allowed: functions and "
            "classes of a module, functools.partial, frozen dataclasses, arrays, numbers and texts "
            "(`fit` without a checkpoint_dir trains with any)"
        ) from None
    except RecursionError:
        raise BadArgument(f"{argument}: {where} is nested too deeply to be identified") from None


def revived(tree: Any, argument: str, where: str) -> Any:
    """Return the value that `describe` wrote: of frozen dataclasses, functions, plain values.

    A name is looked for in the modules of cnnjax and in those that are imported; nothing else is
    imported and nothing is called but the class of a frozen dataclass, with its fields.

    Args:
        tree: JSON of `describe`.
        argument: where it comes from, for the error.
        where: what the value is, for the error.

    Raises:
        BadArgument: for what is not found, what cannot be read back, and a user's value whose
            source is another by now.
    """
    if tree is None or type(tree) in (bool, int, float, str):
        return tree
    if isinstance(tree, list):
        return tuple(revived(item, argument, f"{where}[{i}]") for i, item in enumerate(tree))
    allowed = "allowed: what cnnjax wrote of frozen dataclasses, functions, numbers and texts"
    refused = BadArgument(f"{argument}: {where} is {printable(repr(tree)[:80])}; {allowed}")
    if not isinstance(tree, dict):
        raise refused
    found = {name: value for name, value in tree.items() if name != "(source)"}
    if "function" in found:
        value = _named(tree["function"], argument, where)
    elif len(found) == 1 and isinstance(next(iter(found.values())), dict):
        ((name, fields),) = found.items()
        kind = _named(name, argument, where)
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            raise refused
        given = {k: v for k, v in fields.items() if k != "(source)"}
        unknown_fields = given.keys() - {field.name for field in dataclasses.fields(kind)}
        if unknown_fields:
            names = [field.name for field in dataclasses.fields(kind)]
            raise unknown(f"{argument}: {where}: {name}", sorted(unknown_fields)[0], names)
        value = kind(**{k: revived(v, argument, f"{where}.{k}") for k, v in given.items()})
        tree = {name: {**_described(value, where)[name], **fields}}
    else:
        raise refused
    if _described(value, where) != tree:
        raise BadArgument(
            f"{argument}: {where} is {printable(repr(value)[:80])} of another source than when it "
            "was written"
        )
    return value


def _named(name: Any, argument: str, where: str) -> Any:
    """Return the function or class of a full name, in a module of cnnjax or an imported one."""
    parts = name.split(".") if isinstance(name, str) else []
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if parts[0] == "cnnjax" and module not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        found: Any = sys.modules.get(module)
        for part in parts[length:]:
            found = getattr(found, part, None)
        if found is not None:
            return found
    raise BadArgument(
        f"{argument}: {where} names {printable(repr(name)[:80])}, which is in no module of cnnjax "
        "and in none that is imported; import the module that defines it first"
    )


_FROZEN_DICT = "flax.core.frozen_dict.FrozenDict"


class _Unknown(Exception):
    """What a value is, and why nothing identifies it."""

    def __init__(self, where: str, value: Any, why: str) -> None:
        super().__init__(f"{where} is {printable(repr(value)[:80])}, {why}")


def _described(value: Any, where: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (tuple, list):
        return [_described(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if type(value) is np.ndarray or isinstance(value, np.generic | jax.Array):
        return _array(value, where)
    if _is_dtype(value):
        return {"dtype": str(np.dtype(value))}
    if isinstance(value, type):
        return {"class": _found(value, where)} | _source(value, where)
    if isinstance(value, enum.Enum):
        return {"enum": [_described(type(value), where), value.name]}
    if dataclasses.is_dataclass(value):
        return {_found(type(value), where): _fields(value, where) | _source(type(value), where)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a NamedTuple
        return {_found(type(value), where): _described(tuple(value), where)}
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, dict(sorted(value.keywords.items())))
        return {"partial": [_described(part, f"{where}.func") for part in parts]}
    if type(value) in (dict, types.MappingProxyType) or _full_name(type(value)) == _FROZEN_DICT:
        pairs = [list(pair) for pair in value.items()]
        return {"mapping": [_described(pair, f"{where}[{pair[0]!r}]") for pair in pairs]}
    if type(value) in (set, frozenset):
        return {"set": sorted((_described(item, where) for item in value), key=json.dumps)}
    if type(value) in (bytes, complex):
        return {type(value).__name__: repr(value)}
    if isinstance(value, types.MethodType):
        return _method(value, where)
    if isinstance(value, types.FunctionType) and _closes_over_values(value):
        return _closure(value, where)
    if callable(value):
        return {"function": _found(value, where)} | _source(value, where)
    raise _Unknown(where, value, f"a {type(value).__name__} that nothing identifies")


def _array(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, jax.core.Tracer):
        raise _Unknown(where, value, "a value that is being traced")
    if isinstance(value, jax.Array) and jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return {"key": [str(jax.random.key_impl(value)), jax.random.key_data(value).tolist()]}
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise _Unknown(where, value, "an array of objects")
    kind = "scalar" if isinstance(value, np.generic) else "array"
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return {kind: [str(array.dtype), list(array.shape), digest]}


def _is_dtype(value: Any) -> bool:
    """Return whether it is a dtype, or what numpy and jax have for one: `jnp.float32`."""
    if isinstance(value, type):
        return issubclass(value, np.generic) or type(value).__name__ == "_ScalarMeta"
    return isinstance(value, np.dtype)


def _fields(value: Any, where: str) -> dict[str, Any]:
    """Return a dataclass's fields; what it keeps beside them could make two of them differ."""
    names = [field.name for field in dataclasses.fields(value)]
    kept = getattr(value, "__dict__", {})
    linen = "_parent_ref" in kept
    for name in kept:
        cached = isinstance(getattr(type(value), name, None), functools.cached_property)
        if not (name in names or cached or (linen and (name == "scope" or name[0] == "_"))):
            raise _Unknown(f"{where}.{name}", kept[name], "which is not a field")
    if linen:
        # The parameters of a module that is a field lie under its name; its own has no effect.
        inner = value.name is not None and ("." in where or "[" in where)
        names = [name for name in names if name != "parent" and (name != "name" or inner)]
    return {name: _described(getattr(value, name), f"{where}.{name}") for name in names}


def _method(value: types.MethodType, where: str) -> dict[str, Any]:
    name = value.__func__.__name__
    if getattr(value.__self__, name, None) != value:
        raise _Unknown(where, value, "a method that is not found under its name")
    return {"method": [name, _described(value.__self__, f"{where}.__self__")]}


def _closes_over_values(value: types.FunctionType) -> bool:
    if "<locals>" in value.__qualname__:
        return True
    # What a decorator wrapped closes over the function whose source is read.
    bare = value.__closure__ is not None and not hasattr(value, "__wrapped__")
    return bare and not in_a_library(value.__code__.co_filename)


def _closure(value: types.FunctionType, where: str) -> dict[str, Any]:
    """Return what a library's function made, as initializers are: the values that it closes over.

    The code of a library stays what it is; that of a user's function would have to be compared.
    """
    code = value.__code__
    if code.co_name == "<lambda>" or not in_a_library(value.__code__.co_filename):
        raise _Unknown(where, value, _why_not(value))
    cells = zip(code.co_freevars, value.__closure__ or (), strict=True)
    held = {name: _described(cell.cell_contents, f"{where}.{name}") for name, cell in cells}
    defaults = _described([value.__defaults__, value.__kwdefaults__], where)
    # With the line: two functions of one name may stand in the same function.
    line = f"{value.__module__}.{code.co_qualname}:{code.co_firstlineno}"
    return {"closure": [line, held, defaults]}


def _found(value: Any, where: str) -> str:
    """Return the module and name of a function or class that is found there, and is no other."""
    name = _full_name(value)
    module, path = str(getattr(value, "__module__", None)), name.split(".")
    found: Any = sys.modules.get(module)
    for part in path[len(module.split(".")) :]:
        found = getattr(found, part, None)
    if found is not value:
        raise _Unknown(where, value, _why_not(value))
    return name


def _full_name(value: Any) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return f"{getattr(value, '__module__', None)}.{name}"


def _why_not(value: Any) -> str:
    name = _full_name(value)
    if name.endswith("<lambda>"):
        return "a lambda, which has no name"
    if "<locals>" in name:
        return "which was defined inside a function"
    if getattr(value, "__closure__", None):
        return "which closes over values"
    return f"a {type(value).__name__} that is not found under a name in a module"


def _source(value: Any, where: str) -> dict[str, str]:
    try:
        digest = source_digest(value)
    except (OSError, TypeError):
        raise _Unknown(where, value, "whose source cannot be read") from None
    return {} if digest is None else {"(source)": digest}


def fingerprint(tree: Any) -> str:
    """Return the SHA-256, in hexadecimal, of a tree's names, dtypes, shapes and numbers."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
