"""Normalization layers."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.ops.batch_norm import batch_norm
from cnnjax.typing import Array, DType

__all__ = ["BatchNorm", "GroupNorm", "LayerNorm"]


class BatchNorm(nn.Module):
    """Batch normalization over all axes but the last (Ioffe and Szegedy 2015, arXiv:1502.03167).

    In training `y = scale * (x - mean_B) / sqrt(var_B + epsilon) + bias` with the batch's mean and
    biased variance, and the running statistics move by `1 - momentum` towards the batch's mean and
    *unbiased* variance, as PyTorch's do (flax.linen.BatchNorm keeps the biased one). In evaluation
    the running statistics normalize. PyTorch's `momentum=0.1` is `momentum=0.9` here.

    Parameters `scale`, `bias`: `[C]`; batch_stats `mean`, `var`: `[C]`, all float32. The statistics
    are computed in at least float32 whatever the type of `x`; the result has type `dtype` (that of
    `x` where it is None).
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones_init()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros_init()
    dtype: DType | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Normalize `x` `[..., C]`; `train`: by its own statistics, moving the running ones."""
        channels = (x.shape[-1],)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        scale = self._parameter("scale", self.use_scale, self.scale_init, jnp.ones, channels)
        bias = self._parameter("bias", self.use_bias, self.bias_init, jnp.zeros, channels)
        if train:
            y, mean, var = batch_norm(x, scale, bias, epsilon=self.epsilon)
            if not self.is_initializing():
                count = x.size // x.shape[-1]
                unbiased = var * (count / max(count - 1, 1))
                for running, batch in ((running_mean, mean), (running_var, unbiased)):
                    step = (1 - self.momentum) * (batch - running.value)
                    # They keep their type, where `x` and so its statistics have a wider one.
                    running.value += step.astype(running.value.dtype)
        else:
            factor = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
            shift = bias - running_mean.value * factor
            shape = (1,) * (x.ndim - 1) + channels
            y = x * factor.reshape(shape) + shift.reshape(shape)
        return y.astype(self.dtype or x.dtype)

    def _parameter(self, name, used, init, default, shape):
        return self.param(name, init, shape, jnp.float32) if used else default(shape, jnp.float32)


class GroupNorm(nn.GroupNorm):
    """Group normalization (Wu and He 2018, arXiv:1803.08494): Flax's, called as every norm is.

    Fields and parameters are those of `flax.linen.GroupNorm`; the variance is that of the
    differences from the mean, since the mean of the squares loses what a large mean leaves of it.
    """

    use_fast_variance: bool = False

    @nn.nowrap  # to Flax it is one call, of its own `__call__`
    def __call__(self, x: Array, *, train: bool) -> Array:  # type: ignore[override]
        """Normalize each of `x` `[B, ..., C]` over groups of channels, whatever `train` is."""
        del train
        return super().__call__(x)


class LayerNorm(nn.LayerNorm):
    """Layer normalization over the channels of each position (Ba et al. 2016, arXiv:1607.06450).

    Fields and parameters are those of `flax.linen.LayerNorm`; the variance is computed as
    `GroupNorm` does.
    """

    use_fast_variance: bool = False

    @nn.nowrap  # to Flax it is one call, of its own `__call__`
    def __call__(self, x: Array, *, train: bool) -> Array:  # type: ignore[override]
        """Normalize `x` `[..., C]` over its last axis, whatever `train` is."""
        del train
        return super().__call__(x)
