"""A row of the table of networks, and the checks that every network makes of its images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from cnnjax.errors import BadArgument
from cnnjax.typing import Images

__all__ = ["Network", "check_images"]


@dataclass(frozen=True)
class Network:
    """A row of the table: the family's class, and its fields where they are not their defaults."""

    family: Callable[..., nn.Module]
    fields: Mapping[str, Any] = field(default_factory=dict)


def check_images(network: nn.Module, images: Images, *, smallest: int = 1) -> None:
    """Raise `BadArgument` unless `images` is a float `[B, H, W, C]` of at least `smallest` pixels.

    `smallest` is the least height and width that leave every layer at least one position.
    """
    name = type(network).__name__
    if images.ndim != 4:
        raise BadArgument(f"{name}: images has shape {images.shape}; it must be [B, H, W, C]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise BadArgument(
            f"{name}: images has dtype {images.dtype}; it must be a float type "
            "(normalize uint8 images first: cnnjax.data.augment.normalize)"
        )
    if min(images.shape[1:3]) < smallest:
        raise BadArgument(
            f"{name}: images are {images.shape[1]}x{images.shape[2]}; this network's strides "
            f"need at least {smallest}x{smallest}"
        )
