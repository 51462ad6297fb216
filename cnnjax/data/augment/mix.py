"""Mixing images with others of their batch, and their targets with them."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import check_images
from cnnjax.errors import BadArgument
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["CutMix", "MixUp"]


@dataclasses.dataclass(frozen=True)
class MixUp:
    """Every image blended with another of its batch, and the targets likewise.

    `l x + (1 - l) x'` with one `l` of Beta(alpha, alpha) for the batch.

    Attributes:
        alpha: above 0 and at most 1,000; 0.2 is usual for photographs, 1 draws `l` evenly.

    Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Array, Targets]:
        """Return images `[B, H, W, C]` float32 in the range they had, and targets `[B, K]`."""
        check_images(images)
        share_key, partner_key = jax.random.split(key)
        share = jax.random.beta(share_key, self.alpha, self.alpha, dtype=jnp.float32)
        partner = jax.random.permutation(partner_key, len(images))
        images = images.astype(jnp.float32)
        return (
            share * images + (1 - share) * images[partner],
            share * targets + (1 - share) * targets[partner],
        )


@dataclasses.dataclass(frozen=True)
class CutMix:
    """A rectangle of every image taken from another of its batch; targets mix by its area.

    One rectangle for the batch, around a random pixel and clipped at the border, of the images'
    proportions and, unclipped, `1 - l` of their area with `l` of Beta(alpha, alpha).

    Attributes:
        alpha: above 0 and at most 1,000.

    Source: Yun et al. 2019, CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features, arXiv:1905.04899.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return images `[B, H, W, C]` of the dtype they had, and targets `[B, K]` float32."""
        check_images(images)
        share_key, row_key, column_key, partner_key = jax.random.split(key, 4)
        share = jax.random.beta(share_key, self.alpha, self.alpha, dtype=jnp.float32)
        partner = jax.random.permutation(partner_key, len(images))

        def covered(key: Key, length: int) -> Array:
            side = jnp.sqrt(1 - share) * length
            start = jax.random.randint(key, (), 0, length) - jnp.floor(side / 2)
            place = jnp.arange(length, dtype=jnp.float32)
            return (place >= start) & (place < start + jnp.floor(side))

        rows, columns = covered(row_key, images.shape[1]), covered(column_key, images.shape[2])
        inside = rows[:, None] & columns[None, :]
        area = inside.mean(dtype=jnp.float32)
        mixed = jnp.where(inside[None, :, :, None], images[partner], images)
        return mixed, (1 - area) * targets + area * targets[partner]


def _check_alpha(alpha: float) -> None:
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not (number and 0 < alpha <= 1000):
        raise BadArgument(f"alpha: received {alpha!r}, allowed: numbers above 0, up to 1000")
