"""Pickles read as data: the format's stack machine, without anything in it that could run code.

A pickle is a program that builds a value; Python's own machine for it imports and calls whatever
the program names. This one makes dictionaries, lists, numbers and text, and puts a `Made` in the
place of everything else, which says what would have been called and with what. What it does is
bounded: a step costs a few bytes, there are only so many steps, and no value is ever hashed,
compared or printed that another one could be inside of.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from cnnjax.errors import Failed

__all__ = ["MOST_STEPS", "Made", "Named", "Stored", "read_pickle"]

MOST_STEPS = 2_000_000
"""A checkpoint of a thousand tensors with its optimizer's state takes about 100,000."""

_LONGEST_KEY = 1_000  # characters: two equal keys are compared as often as the pickle says
_DICTIONARIES = {"collections.OrderedDict", "collections.defaultdict", "builtins.dict"}


@dataclass(frozen=True, eq=False)
class Named:
    """A class or function that a pickle refers to by `module.name`; it is not looked up."""

    path: str


@dataclass(frozen=True, eq=False)
class Stored:
    """A reference to something outside the pickle, such as a storage of a tensor."""

    identifier: Any


@dataclass(eq=False)
class Made:
    """What a pickle makes by a call, which is not made.

    Attributes:
        path: `module.name` of what would be called, or "?".
        arguments: of the call, whatever they are.
        state: what the new object would be given as its attributes.
        items: what would be put into it by key.
    """

    path: str
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def read_pickle(stream: IO[bytes]) -> tuple[Any, list[Stored]]:
    """Read one pickle from where a stream stands up to the pickle's end.

    Args:
        stream: in memory, so that a length in the pickle that is too large takes no memory.

    Returns:
        The value, made of dict (its keys are short text and integers; others are dropped), list,
        tuple, text, bytes, numbers, None, `Named`, `Stored` and `Made`; a value may be inside
        itself, or in very many places. And all that it refers to by `Stored`.

    Raises:
        Failed: for a pickle that is cut off or damaged, or too long.
    """
    machine = _Machine()
    try:
        for steps, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if steps > MOST_STEPS:
                raise Failed(f"its pickle has more than {MOST_STEPS:,} steps")
            machine.step(operation.name, argument)
        return machine.stack[-1], machine.stored
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise Failed(f"its pickle is damaged ({error!s:.200})") from None


class _Machine:
    """The stack of values, the marks in it, and the memo of values to come back to."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}
        self.stored: list[Stored] = []

    def step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.push(argument)
        elif name in _EMPTY:
            self.push(_EMPTY[name]())
        elif name in _PUTS:
            self.memo[argument] = self.stack[-1]
        elif name in _GETS:
            self.push(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"{name} is not read")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def pop(self, count: int) -> list[Any]:
        """Take `count` values from the stack, the lowest first."""
        if count > len(self.stack):
            raise IndexError("its stack is empty")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def append(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        target = target.items if isinstance(target, Made) else target
        if not isinstance(target, dict):
            raise TypeError("items for what is no dictionary")
        target.update(_pairs(items))

    def stack_global(self, _: Any) -> None:
        module, name = self.pop(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self.push(Named(f"{module}.{name}"))

    def instance(self, argument: str) -> None:  # only the pickles of Python 2 have it
        self.push(_call(Named(argument.replace(" ", ".", 1)), self.since_mark()))

    def object(self, _: Any) -> None:
        kind, *arguments = self.since_mark()
        self.push(_call(kind, arguments))

    def call(self, _: Any) -> None:
        function, arguments = self.pop(2)
        self.push(_call(function, arguments))

    def call_with_keywords(self, _: Any) -> None:
        kind, arguments, _keywords = self.pop(3)
        self.push(_call(kind, arguments))

    def build(self, _: Any) -> None:
        (state,) = self.pop(1)
        if isinstance(self.stack[-1], Made):
            self.stack[-1].state = state

    def refer(self, _: Any) -> None:
        self.stored.append(Stored(*self.pop(1)))
        self.push(self.stored[-1])


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(arguments, tuple | list):
        raise TypeError("a call without its arguments")
    path = function.path if isinstance(function, Named) else "?"
    if path == "copyreg._reconstructor" or path == "copy_reg._reconstructor":
        # How protocols 0 and 1 make any object: its class is the first argument.
        kind = arguments[0] if arguments else None
        path = kind.path if isinstance(kind, Named) else "?"
    if path in _DICTIONARIES:
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        return _pairs([each for pair in pairs for each in pair])
    return Made(path, tuple(arguments))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Return a dictionary of keys and values in turn, less the keys that may be slow to hash."""
    return {k: value for k, value in zip(items[::2], items[1::2], strict=True) if _is_key(k)}


def _is_key(key: Any) -> bool:
    if isinstance(key, str):
        return len(key) <= _LONGEST_KEY
    return isinstance(key, int) and -(2**63) <= key < 2**63


# What each operation of the format does: https://docs.python.org/3/library/pickletools.html
_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BYTEARRAY8"),
}
_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,  # a set would hash what is in it
}
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "STOP": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.pop(1) if machine.stack else machine.since_mark(),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "MEMOIZE": _Machine.memoize,
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.pop(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.pop(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.pop(3))),
    "DICT": lambda machine, _: machine.push(_pairs(machine.since_mark())),
    "APPEND": lambda machine, _: machine.append(machine.pop(1)),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, name: machine.push(Named(name.replace(" ", ".", 1))),
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.instance,
    "OBJ": _Machine.object,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.refer,
}
