"""The keys that a run draws with: one a run, made of a seed, and one of it for every use."""

import zlib

import jax
import numpy as np

from cnnjax.errors import BadArgument
from cnnjax.typing import Key

__all__ = ["key_of", "named_key"]

_SEEDS = 2**32


def key_of(seed: int, argument: str = "seed") -> Key:
    """Return the key of a run; different seeds give different keys.

    `jax.random.key` keeps 32 bits of its seed: there, 2^32 is 0 without a word.

    Args:
        seed: an integer in 0..2^32-1.
        argument: what it is called where it came from, for the error.

    Raises:
        BadArgument: for anything else.

    >>> key_of(2**32)
    Traceback (most recent call last):
    cnnjax.errors.BadArgument: seed: received 4294967296, allowed: integers in 0..4294967295
    """
    integer = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not (integer and 0 <= seed < _SEEDS):
        raise BadArgument(f"{argument}: received {seed!r}, allowed: integers in 0..{_SEEDS - 1}")
    return jax.random.key(int(seed))


def named_key(key: Key, name: str) -> Key:
    """Return the key of one use (`"init"`, `"order"`, `"augment"`, ...) of a run's key."""
    # CRC-32 is the same everywhere and for ever, unlike Python's hash of a string.
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
