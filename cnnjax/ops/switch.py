"""The switch between this package's forms and the stock operations."""

import os
from contextlib import AbstractContextManager

import jax

from cnnjax.errors import unknown

__all__ = ["is_stock", "stock"]

_KINDS = ("fast", "stock")
_kind = os.environ.get("CNNJAX_OPS") or "fast"
if _kind not in _KINDS:
    raise unknown("CNNJAX_OPS", _kind, _KINDS)

# Part of the key of JAX's caches: a function jitted inside the context is traced anew outside.
_is_stock = jax.make_user_context(default_value=_kind == "stock")


def stock() -> AbstractContextManager[None]:
    """Return a context in which every operation of `cnnjax.ops` is the stock one of `jax.lax`.

    It holds for the thread that enters it and for what is traced inside; jitted functions are
    compiled once for either side. The environment variable `CNNJAX_OPS=stock`, read at import,
    does the same for the whole process.

    >>> with stock():
    ...     is_stock()
    True
    """
    return _is_stock(True)


def is_stock() -> bool:
    """Tell whether the stock operations are asked for here."""
    return _is_stock.value
