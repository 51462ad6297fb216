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

from cnnjax.train.hyper import Hyper
from cnnjax.typing import Array

__all__ = ["LAMB", "SGD", "Adam", "AdamW", "Lion", "Optimizer", "RMSProp", "everything", "kernels"]

Transform: TypeAlias = Any  # optax.GradientTransformation, which mypy cannot see
Mask: TypeAlias = Callable[[Any], Any]


class Optimizer(Protocol):
    """How gradients move parameters."""

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


def _decay(hyper: Hyper, mask: Mask) -> Transform:
    return optax.add_decayed_weights(hyper.weight_decay, mask)


@dataclasses.dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum; weight decay is added to the gradient.

    Attributes:
        nesterov: Nesterov's momentum, else the classical one (heavy ball).
        decay: which parameters decay: parameters to a tree of bools.
    """

    nesterov: bool = True
    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            _decay(hyper, self.decay),
            optax.trace(hyper.momentum, nesterov=self.nesterov),
            optax.scale_by_learning_rate(learning_rate),
        )


@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam with `Hyper.momentum` as beta 1; weight decay is added to the gradient.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools.
    """

    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            _decay(hyper, self.decay),
            optax.scale_by_adam(b1=hyper.momentum),
            optax.scale_by_learning_rate(learning_rate),
        )


@dataclasses.dataclass(frozen=True)
class AdamW:
    """Adam with `Hyper.momentum` as beta 1; weight decay is added to the update.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools.
    """

    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            optax.scale_by_adam(b1=hyper.momentum),
            _decay(hyper, self.decay),
            optax.scale_by_learning_rate(learning_rate),
        )


@dataclasses.dataclass(frozen=True)
class LAMB:
    """AdamW whose update of each parameter has the norm of that parameter.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools.

    Source: You et al. 2020, Large Batch Optimization for Deep Learning, arXiv:1904.00962.
    """

    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            # 1e-6 is the paper's epsilon; Adam's 1e-8 lets early ratios explode.
            optax.scale_by_adam(b1=hyper.momentum, eps=1e-6),
            _decay(hyper, self.decay),
            optax.scale_by_trust_ratio(),
            optax.scale_by_learning_rate(learning_rate),
        )


@dataclasses.dataclass(frozen=True)
class Lion:
    """The sign of a momentum, with `Hyper.momentum` as beta 1; decay is added to the update.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools.

    Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675.
    """

    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            optax.scale_by_lion(b1=hyper.momentum),
            _decay(hyper, self.decay),
            optax.scale_by_learning_rate(learning_rate),
        )


@dataclasses.dataclass(frozen=True)
class RMSProp:
    """RMSProp with momentum; weight decay is added to the gradient.

    Epsilon is inside the root and 1e-3, as the networks trained with RMSProp (MobileNet,
    EfficientNet) have it: with 1e-8 a parameter whose gradient is nearly 0 takes huge steps.

    Attributes:
        decay: which parameters decay: parameters to a tree of bools.
    """

    decay: Mask = kernels

    def __call__(self, learning_rate: Array, hyper: Hyper) -> Transform:
        """Return the transformation; arguments as of `Optimizer`."""
        return optax.chain(
            _decay(hyper, self.decay),
            optax.scale_by_rms(decay=0.9, eps=1e-3),
            optax.trace(hyper.momentum),
            optax.scale_by_learning_rate(learning_rate),
        )
