"""What the table of networks says of each, and the checks that every network makes of its images."""

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
    """A row of the table: the family's class with its fields, and what is known of the network.

    `parameters` counts learnable scalars at the default `num_classes` and channels;
    `batch_statistics` the running means and variances; `multiply_adds` those of convolutions and
    matrix products for one image of `input_size` pixels, in units of 1e9, as
    `cnnjax.analysis.count` counts them for the network as `build` returns it.
    `accuracy` is the published top-1 in percent on the data set named in `dataset`: that of
    `weights`, else what the paper in `reference` reports, unless `accuracy_source` names another.
    `reference` says whose definition it is: "torchvision", "timm", or a paper.
    """

    family: Callable[..., nn.Module]
    fields: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    batch_statistics: int = 0
    multiply_adds: float = 0.0
    input_size: int = 224
    channels: int = 3
    reference: str = ""
    accuracy: float | None = None
    accuracy_source: str = ""
    dataset: str = "ImageNet-1k"
    weights: str | None = None


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
