"""Optimizers: `(learning_rate, hyper) -> optax.GradientTransformation`.

The transformation is built anew inside the step, so its numbers may be tracers: the learning rate,
which has the schedule in it, and the scalars of `Hyper`. Only its state persists; that must not
depend on them. Any of optax's that takes a learning rate does:
`lambda learning_rate, hyper: optax.adabelief(learning_rate)`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import optax

from cnnjax.errors import BadArgument, number
from cnnjax.train.hyper import Hyper
from cnnjax.typing import Array

__all__ = [
    "LAMB",
    "SAM",
    "SGD",
    "Adam",
    "AdamW",
    "Chain",
    "Lion",
    "Optimizer",
    "RMSProp",
    "everything",
    "kernels",
]

Transform: TypeAlias = Any  # optax.GradientTransformation, which mypy cannot see
Mask: TypeAlias = Callable[[Any], Any]


class Optimizer(Protocol):
    """How gradients move parameters.

    One that has a method `climbed(params, gradients) -> params` is given, in place of the gradients
    at the parameters, those at what that returns: two passes a step.
    """

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the optax transformation at one step: from gradients to what is added.

        Args:
            learning_rate: scalar float32, traced: the peak times the schedule's factor.
            hyper: the scalars of the run, traced.
        """


def kernels(params: Any) -> Any:
    """Return a tree of bools: those parameters that have two axes or more.

    Neither biases nor the scales of norms: decaying these only costs accuracy (He et al., "Bag of
    Tricks", 2019, section 3.1).
    """
    return jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, params)


def everything(params: Any) -> Any:
    """Return a tree of bools: all parameters."""
    return jax.tree.map(lambda _: True, params)


def _decayed(hyper: Hyper, shares: Mask) -> Transform:
    """Return the transformation that adds a share of weight decay times each parameter."""

    def add(updates: Any, params: Any) -> Any:
        def added(share: float, update: Array, leaf: Array) -> Array:
            if share == 0:
                return update
            rate = hyper.weight_decay if share == 1 else hyper.weight_decay * share
            return update + rate * leaf

        return jax.tree.map(added, shares(params), updates, params)

    return optax.stateless(add)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """What the optimizers here share: clip, then what each of them does, then the learning rate.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools, or of shares of
            `Hyper.weight_decay`.
        clip_norm: the largest global norm of a gradient, above 0; None does not clip.

    Raises:
        BadArgument: for a `clip_norm` outside this range.
    """

    decay: Mask = kernels
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if self.clip_norm is not None:
            number("clip_norm", self.clip_norm, above_zero=True)

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        clip = () if self.clip_norm is None else (optax.clip_by_global_norm(self.clip_norm),)
        parts = self.parts(_decayed(hyper, self.decay), hyper)
        return optax.chain(*clip, *parts, optax.scale_by_learning_rate(learning_rate))

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return what makes the direction of a step from a gradient, in order.

        Args:
            decayed: adds weight decay to what is given: a gradient where it comes first.
            hyper: the scalars of the run, traced.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(Chain):
    """Stochastic gradient descent with momentum; weight decay is added to the gradient.

    Attributes:
        nesterov: Nesterov's momentum, else the classical one (heavy ball).
    """

    nesterov: bool = True

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        return decayed, optax.trace(hyper.momentum, nesterov=self.nesterov)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Chain):
    """Adam with `Hyper.momentum` as beta 1; weight decay is added to the gradient.

    Source: Kingma and Ba 2015, Adam, arXiv:1412.6980.
    """

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        return decayed, optax.scale_by_adam(b1=hyper.momentum)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(Chain):
    """Adam with `Hyper.momentum` as beta 1; weight decay is added to the update.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101.
    """

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        return optax.scale_by_adam(b1=hyper.momentum), decayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class LAMB(Chain):
    """AdamW whose update of each parameter has the norm of that parameter.

    Source: You et al. 2020, Large Batch Optimization for Deep Learning, arXiv:1904.00962.
    """

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        # 1e-6 is the paper's epsilon; Adam's 1e-8 lets early ratios explode.
        moments = optax.scale_by_adam(b1=hyper.momentum, eps=1e-6)
        return moments, decayed, optax.scale_by_trust_ratio()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(Chain):
    """The sign of a momentum, with `Hyper.momentum` as beta 1; decay is added to the update.

    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675.
    """

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        return optax.scale_by_lion(b1=hyper.momentum), decayed


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSProp(Chain):
    """RMSProp with momentum; weight decay is added to the gradient.

    Epsilon is inside the root and 1e-3, as the networks trained with RMSProp (MobileNet,
    EfficientNet) have it: with 1e-8 a parameter whose gradient is nearly 0 takes huge steps.
    """

    def parts(self, decayed: Transform, hyper: Hyper) -> tuple[Transform, ...]:
        """Return the transformations in order; arguments as of `Chain`."""
        scaled = optax.scale_by_rms(decay=0.9, eps=1e-3)
        return decayed, scaled, optax.trace(hyper.momentum)


@dataclasses.dataclass(frozen=True)
class SAM:
    """Sharpness-aware minimization: the gradient is taken a step uphill, `w + rho g / |g|`.

    Twice the work of a step. The norm is that of the gradients of all parameters together.

    Attributes:
        base: what moves the parameters by that gradient.
        rho: how far uphill, at least 0; 0 is the base alone.

    Raises:
        BadArgument: for a base that cannot be called, and a rho outside this range.

    Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization"
    (2021), algorithm 1.
    """

    base: Optimizer = SGD()
    rho: float = 0.05

    def __post_init__(self) -> None:
        if not callable(self.base) or isinstance(self.base, type):
            raise BadArgument(f"base: received {self.base!r}, allowed: an optimizer such as SGD()")
        number("rho", self.rho)

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the base's transformation; arguments as of `Optimizer`."""
        return self.base(learning_rate, hyper)

    def climbed(self, params: Any, gradients: Any) -> Any:
        """Return where the second gradient is taken, of parameters and their gradients."""
        norm = optax.tree.norm(gradients)
        scale = self.rho / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)
        return jax.tree.map(lambda leaf, gradient: leaf + scale * gradient, params, gradients)
