"""Names for the arrays and trees that pass between the layers."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax

from cnnjax.errors import BadArgument

__all__ = [
    "Activation",
    "Array",
    "DType",
    "Images",
    "Key",
    "Labels",
    "Logits",
    "Model",
    "Targets",
    "Variables",
    "check_features",
]

Array = jax.Array
"""Any array."""

Images = jax.Array
"""`[B, H, W, C]`: uint8 in 0..255 as stored, or a float type once normalized."""

Labels = jax.Array
"""`[B]` int32, in 0..classes-1."""

Targets = jax.Array
"""`[B, classes]` float32, at least 0, each row summing to 1: labels as a loss takes them."""

Logits = jax.Array
"""`[B, classes]`, float32 or wider."""

Key = jax.Array
"""A typed PRNG key, from `jax.random.key`."""

DType = Any
"""Whatever `jnp.dtype` accepts."""

Variables = Mapping[str, Any]
"""`{"params": ..., "batch_stats": ...}`, as `flax.linen.Module.init` returns it."""

Activation = Callable[[jax.Array], jax.Array]
"""An elementwise function."""


@runtime_checkable
class Model(Protocol):
    """A network: a Linen module that is called as `model(images, *, train)`, whoever wrote it.

    `images` are `[B, H, W, C]` in a float type, already normalized, and the result is the logits
    `[B, classes]`; variables are in the collections `params` and, for norms, `batch_stats`. One
    that also takes `features=True` returns `(logits, {"stem": [B, H, W, C], ...})` then.
    """

    def __hash__(self) -> int:
        """A module's fields can be hashed: programs are remembered by it."""

    def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return new variables: `init(key, images, train=False)`."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """Return logits: `apply(variables, images, train=False)`.

        In training `apply(variables, images, train=True, mutable=["batch_stats"],
        rngs={"dropout": key})` returns them with the collections that changed.
        """


def check_features(model: Model) -> None:
    """Raise `BadArgument` unless a module takes `features=True`, which not every `Model` does."""
    call: Any = type(model).__call__
    parameters = inspect.signature(call).parameters.values()
    if not any(each.name == "features" or each.kind is each.VAR_KEYWORD for each in parameters):
        raise BadArgument(
            f"model: {type(model).__name__} takes no features=True, with which it would return "
            '(logits, {"stem": [B, H, W, C], ..., "pre_logits": [B, C]})'
        )
