"""Names for the arrays and trees that pass between the layers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

__all__ = ["Activation", "Array", "DType", "Images", "Key", "Labels", "Logits", "Variables"]

Array = jax.Array
"""Any array."""

Images = jax.Array
"""`[B, H, W, C]`: uint8 in 0..255 as stored, or a float type once normalised."""

Labels = jax.Array
"""`[B]` int32, in 0..classes-1."""

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
