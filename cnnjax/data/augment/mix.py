"""Mixing images with others of their batch, and their targets with them."""

import dataclasses

import jax
import jax.numpy as jnp

from cnnjax.data.augment.images import Augmentation, check_images, takes_moment
from cnnjax.errors import BadArgument
from cnnjax.typing import Array, Images, Key, Targets

__all__ = ["CutMix", "MixUp", "OneOf"]


def _shares(key: Key, alpha: float, each: bool, images: Images) -> Array:
    """Return the share of its own that each image keeps, `[B]`, or `[1]` for all alike."""
    shape = (len(images) if each else 1,)
    return jax.random.beta(key, alpha, alpha, shape, dtype=jnp.float32)


def _check(alpha: float, each: bool) -> None:
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not (number and 0 < alpha <= 1000):
        raise BadArgument(f"alpha: received {alpha!r}, allowed: numbers above 0, up to 1000")
    if not isinstance(each, bool):
        raise BadArgument(f"each: received {each!r}, allowed: True, False")


@dataclasses.dataclass(frozen=True)
class MixUp:
    """Every image blended with another of its batch, and the targets likewise.

    `l x + (1 - l) x'` with one `l` of Beta(alpha, alpha) for the batch, or one for each image.

    Attributes:
        alpha: above 0 and at most 1,000; 0.2 is usual for photographs, 1 draws `l` evenly.
        each: whether every image has an `l` of its own.

    Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412.
    """

    alpha: float = 0.2
    each: bool = False

    def __post_init__(self) -> None:
        _check(self.alpha, self.each)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Array, Targets]:
        """Return images `[B, H, W, C]` float32 in the range they had, and targets `[B, K]`."""
        check_images(images)
        share_key, partner_key = jax.random.split(key)
        share = _shares(share_key, self.alpha, self.each, images)
        partner = jax.random.permutation(partner_key, len(images))
        images = images.astype(jnp.float32)
        of_images, of_targets = share[:, None, None, None], share[:, None]
        return (
            of_images * images + (1 - of_images) * images[partner],
            of_targets * targets + (1 - of_targets) * targets[partner],
        )


@dataclasses.dataclass(frozen=True)
class CutMix:
    """A rectangle of every image taken from another of its batch; targets mix by its area.

    One rectangle for the batch, or one for each image, around a random pixel and clipped at the
    border, of the images' proportions and, unclipped, `1 - l` of their area with `l` of
    Beta(alpha, alpha).

    Attributes:
        alpha: above 0 and at most 1,000.
        each: whether every image has a rectangle of its own.

    Source: Yun et al. 2019, CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features, arXiv:1905.04899.
    """

    alpha: float = 1.0
    each: bool = False

    def __post_init__(self) -> None:
        _check(self.alpha, self.each)

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return images `[B, H, W, C]` of the dtype they had, and targets `[B, K]` float32."""
        check_images(images)
        share_key, row_key, column_key, partner_key = jax.random.split(key, 4)
        share = _shares(share_key, self.alpha, self.each, images)
        partner = jax.random.permutation(partner_key, len(images))

        def covered(key: Key, length: int) -> Array:
            side = jnp.sqrt(1 - share) * length
            drawn = jax.random.randint(key, share.shape, 0, length)
            start = (drawn - jnp.floor(side / 2))[:, None]
            place = jnp.arange(length, dtype=jnp.float32)[None]
            return (place >= start) & (place < start + jnp.floor(side)[:, None])

        rows, columns = covered(row_key, images.shape[1]), covered(column_key, images.shape[2])
        inside = rows[:, :, None] & columns[:, None, :]
        area = inside.mean(axis=(1, 2), dtype=jnp.float32)[:, None]
        mixed = jnp.where(inside[..., None], images[partner], images)
        return mixed, (1 - area) * targets + area * targets[partner]


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of several augmentations for the whole batch, another one at each step.

    By default as photographs are usually mixed.

    Attributes:
        choices: augmentations that take no `Moment`, at least one.
        weights: how often each is chosen in proportion, numbers above 0; by default all alike.
    """

    choices: tuple[Augmentation, ...] = (MixUp(0.8), CutMix(1.0))
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        callables = isinstance(self.choices, tuple) and all(
            callable(each) and not isinstance(each, type) for each in self.choices
        )
        if not callables or not self.choices or any(map(takes_moment, self.choices)):
            raise BadArgument(
                f"choices: received {self.choices!r}, allowed: a tuple of augmentations that take "
                "no moment"
            )
        positive = isinstance(self.weights, tuple) and all(
            isinstance(each, int | float) and not isinstance(each, bool) and 0 < each < 1e30
            for each in self.weights
        )
        if not positive or (self.weights and len(self.weights) != len(self.choices)):
            raise BadArgument(
                f"weights: received {self.weights!r}, allowed: a number above 0 for each of "
                f"{len(self.choices)} choices"
            )

    def __call__(self, key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
        """Return what the chosen one does, images of a dtype that holds those of all."""
        choice_key, own_key = jax.random.split(key)
        weights = jnp.asarray(self.weights or (1.0,) * len(self.choices), jnp.float32)
        index = jax.random.categorical(choice_key, jnp.log(weights))
        found = [jax.eval_shape(each, own_key, images, targets)[0] for each in self.choices]
        dtype = jnp.result_type(*(each.dtype for each in found))

        def branch(each: Augmentation) -> Augmentation:
            def applied(key: Key, images: Images, targets: Targets) -> tuple[Images, Targets]:
                images, targets = each(key, images, targets)
                return images.astype(dtype), targets.astype(jnp.float32)

            return applied

        return jax.lax.switch(index, tuple(map(branch, self.choices)), own_key, images, targets)
