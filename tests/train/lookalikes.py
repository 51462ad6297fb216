"""Values of a user's module that are easily taken for each other, for tests of identity."""

import dataclasses
import enum
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn


def double(x):
    return 2 * x


def triple(x, times=3):
    return times * x


def scaled(factor):
    def act(x):
        return factor * jnp.tanh(x)

    return act


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@decorated
def half(x):
    return x / 2


@jax.jit
def jitted(x):
    return 2 * x


nameless = lambda x: x
hidden = scaled(3.0)
hidden.__qualname__ = hidden.__name__ = "hidden"


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Pair(NamedTuple):
    first: int
    second: int


@dataclasses.dataclass(frozen=True)
class Scale:
    factor: float

    def __call__(self, x):
        return self.factor * x

    def apply(self, x):
        return self(x)

    def undo(self, x):
        return x / self.factor


@dataclasses.dataclass
class Secretive:
    factor: dataclasses.InitVar[float]

    def __post_init__(self, factor):
        self.kept = factor

    def __call__(self, x):
        return self.kept * x


class Opaque:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x


class Outer:
    class Scale:
        pass


class Net(nn.Module):
    act: object = None
    inner: object = None

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(3)(images.reshape(len(images), -1))
        return x if self.act is None else self.act(x)
