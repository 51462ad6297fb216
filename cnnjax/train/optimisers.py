"""Optimisers and learning-rate schedules by name, with every number of them traced.

An optimiser here is an optax transformation *without* the learning rate: the step multiplies its
result by `-learning_rate * schedule(step)`. Momentum and weight decay enter as scalars that may
be tracers, because the transformation is built anew inside the step; only its state persists.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from cnnjax.typing import Array

__all__ = ["OPTIMISERS", "SCHEDULES", "decayed", "learning_rate_factor", "optimiser"]

Transform: TypeAlias = Any  # optax.GradientTransformation, which mypy cannot see
Scalar: TypeAlias = Array | float


def _sgd(momentum: Scalar, decay: Transform) -> Transform:
    return optax.chain(decay, optax.trace(momentum, nesterov=True))


def _heavy_ball(momentum: Scalar, decay: Transform) -> Transform:
    return optax.chain(decay, optax.trace(momentum))


def _adam(momentum: Scalar, decay: Transform) -> Transform:
    return optax.chain(decay, optax.scale_by_adam(b1=momentum))


def _adamw(momentum: Scalar, decay: Transform) -> Transform:
    return optax.chain(optax.scale_by_adam(b1=momentum), decay)


def _lamb(momentum: Scalar, decay: Transform) -> Transform:
    # 1e-6 is the epsilon of the LAMB paper; Adam's 1e-8 lets early ratios explode.
    return optax.chain(
        optax.scale_by_adam(b1=momentum, eps=1e-6), decay, optax.scale_by_trust_ratio()
    )


def _lion(momentum: Scalar, decay: Transform) -> Transform:
    return optax.chain(optax.scale_by_lion(b1=momentum), decay)


def _rmsprop(momentum: Scalar, decay: Transform) -> Transform:
    # Epsilon inside the root and 1e-3, as the networks trained with RMSProp (MobileNet,
    # EfficientNet) have it: with 1e-8 a parameter whose gradient is nearly 0 takes huge steps.
    return optax.chain(decay, optax.scale_by_rms(decay=0.9, eps=1e-3), optax.trace(momentum))


OPTIMISERS: dict[str, Callable[[Scalar, Transform], Transform]] = {
    "sgd": _sgd,
    "heavy_ball": _heavy_ball,
    "adam": _adam,
    "adamw": _adamw,
    "lamb": _lamb,
    "lion": _lion,
    "rmsprop": _rmsprop,
}
"""Name to (momentum, weight decay) -> transformation.

`sgd` is SGD with Nesterov momentum, `heavy_ball` with the classical one. For `adam`, `adamw`,
`lamb` and `lion` momentum is the first coefficient (beta 1). Weight decay is added to the gradient
in `sgd`, `heavy_ball`, `adam` and `rmsprop`, and to the update in `adamw`, `lamb` and `lion`.
"""


def decayed(params: Any) -> Any:
    """Return a tree of bools: which parameters weight decay applies to.

    Those with two axes or more: kernels, and neither biases nor the scales of norms. Decaying the
    latter two only costs accuracy (He et al., "Bag of Tricks", 2019, section 3.1).
    """
    return jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, params)


def optimiser(
    name: str,
    momentum: Scalar,
    weight_decay: Scalar,
    *,
    decay_all: bool = False,
    clip_norm: float | None = None,
) -> Transform:
    """Return the named optimiser as an optax transformation without its learning rate.

    Args:
        name: a key of `OPTIMISERS`.
        momentum: scalar in [0, 1); may be traced.
        weight_decay: scalar, at least 0; may be traced.
        decay_all: decay biases and the parameters of norms too.
        clip_norm: the largest global norm of a gradient, above 0; None does not clip.
    """
    mask = None if decay_all else decayed
    transform = OPTIMISERS[name](momentum, optax.add_decayed_weights(weight_decay, mask))
    if clip_norm is None:
        return transform
    return optax.chain(optax.clip_by_global_norm(clip_norm), transform)


def _cosine(progress: Array, rise: Array) -> Array:
    return rise * 0.5 * (1 + jnp.cos(jnp.pi * progress))


def _onecycle(progress: Array, rise: Array) -> Array:
    return rise * (1 - progress)


def _step(progress: Array, rise: Array) -> Array:
    return rise * jnp.where(progress < 0.5, 1.0, jnp.where(progress < 0.75, 0.1, 0.01))


def _constant(progress: Array, rise: Array) -> Array:
    return rise


SCHEDULES: dict[str, Callable[[Array, Array], Array]] = {
    "cosine": _cosine,
    "onecycle": _onecycle,
    "step": _step,
    "constant": _constant,
}
"""Name to (progress since the warm-up in [0, 1], rise in (0, 1]) -> factor in [0, 1].

`cosine` falls by half a cosine to 0 (Loshchilov and Hutter, "SGDR", 2017); `onecycle` falls
linearly to 0, a triangle with the warm-up (Smith and Topin, "Super-Convergence", 2018); `step`
falls tenfold at 50 % and 75 % (He et al., "Deep Residual Learning", 2016, section 4.2).
"""


def learning_rate_factor(name: str, step: Array, *, steps: int, warmup: float) -> Array:
    """Return what the peak learning rate is multiplied by at a step.

    The factor rises linearly during the first `warmup * steps` steps, the first of which is not
    0, and then follows the named schedule, which ends just before 0: no step is without effect.

    Args:
        name: a key of `SCHEDULES`.
        step: scalar int32, from 0; may be traced.
        steps: how many there are in the run.
        warmup: the share of the run that the rise takes, in [0, 1).

    Returns:
        Scalar float32 in (0, 1].
    """
    rising = round(warmup * steps)
    position = jnp.asarray(step, jnp.float32)
    rise = jnp.minimum(1.0, (position + 1) / max(rising, 1))
    # Over `steps - rising` steps, so the first step after the rise is at the peak.
    progress = jnp.clip((position - rising) / max(steps - rising, 1), 0.0, 1.0)
    return SCHEDULES[name](progress, rise)
