"""GoogLeNet: nine inception modules, here with batch normalization.

Szegedy et al. 2015 (arXiv:1409.4842), as torchvision.models.googlenet defines it: what the paper
calls the 5x5 branch has 3x3 kernels, because the published weights have.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, ConvNormAct, classify, flatten, relu, uniform_bias
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "AuxiliaryHead", "GoogLeNet", "Inception"]

# The reference truncates at an absolute 2, two hundred deviations away: not at all.
_init = nn.initializers.normal(0.01)
_layer = partial(
    ConvNormAct, norm=partial(BatchNorm, momentum=0.9, epsilon=1e-3), kernel_init=_init
)

# (name, width of the 1x1 branch, reduced and full widths of the 3x3 branch, the same of the "5x5"
# branch, width of the pooled branch): table 1 of the paper, a list for each stage
_STAGES = (
    (("3a", 64, 96, 128, 16, 32, 32), ("3b", 128, 128, 192, 32, 96, 64)),
    (
        ("4a", 192, 96, 208, 16, 48, 64),
        ("4b", 160, 112, 224, 24, 64, 64),
        ("4c", 128, 128, 256, 24, 64, 64),
        ("4d", 112, 144, 288, 32, 64, 64),
        ("4e", 256, 160, 320, 32, 128, 128),
    ),
    (("5a", 256, 160, 320, 32, 128, 128), ("5b", 384, 192, 384, 48, 128, 128)),
)
_AUXILIARY = {"4a": "aux1", "4d": "aux2"}


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and "5x5"; a 3x3 maximum and 1x1.

    `widths` are those of `_STAGES`.
    """

    widths: tuple[int, ...]
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H, W, sum of the branches]`."""

        def layer(x: Array, name: str, width: int, size: int) -> Array:
            return _layer(width, size, dtype=self.dtype, name=name)(x, train=train)

        single, reduced3, full3, reduced5, full5, pooled = self.widths
        branches = [
            layer(x, "branch1", single, 1),
            layer(layer(x, "branch2.0", reduced3, 1), "branch2.1", full3, 3),
            layer(layer(x, "branch3.0", reduced5, 1), "branch3.1", full5, 3),
            layer(ops.max_pool(x, 3, strides=1, padding=1), "branch4.1", pooled, 1),
        ]
        return jnp.concatenate(branches, axis=-1)


class AuxiliaryHead(nn.Module):
    """A classifier on the way, for the gradient of the early layers: averages, 1x1, two linear."""

    num_classes: int
    dropout_rate: float = 0.7
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`."""
        x = _layer(128, 1, dtype=self.dtype, name="conv")(ops.adaptive_avg_pool(x, 4), train=train)
        x = flatten(x)
        bias_init = uniform_bias(x.shape[-1])
        linear = nn.Dense(
            1024, dtype=self.dtype, kernel_init=_init, bias_init=bias_init, name="fc1"
        )
        logits, _ = classify(
            relu(linear(x)),
            self.num_classes,
            train=train,
            name="fc2",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
            bias_init=uniform_bias,
        )
        return logits


class GoogLeNet(nn.Module):
    """A stem, nine inception modules in three stages, pooling and a linear layer.

    `aux_heads` adds the two auxiliary heads of the paper, after modules 4a and 4d. They run in
    training only, as in the reference; their logits `[B, num_classes]` are in the features, under
    "aux1" and "aux2", and `aux_weight` of their losses is added, as in the paper.
    """

    aux_weight = 0.3  # not a field: what `fit` takes

    num_classes: int = 1000
    aux_heads: bool = False
    dropout_rate: float = 0.2
    aux_dropout_rate: float = 0.7
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=15)
        layer = partial(_layer, dtype=self.dtype)
        x = layer(64, 7, 2, name="conv1")(images, train=train)
        stages = {"stem": x}
        x = ops.max_pool(x, 3, strides=2, ceil_mode=True)
        x = layer(64, 1, name="conv2")(x, train=train)
        x = layer(192, 3, name="conv3")(x, train=train)
        stages["stage1"] = x
        for stage, modules in enumerate(_STAGES, start=2):
            x = ops.max_pool(x, 2 if stage == 4 else 3, strides=2, ceil_mode=True)
            for name, *widths in modules:
                module = Inception(tuple(widths), dtype=self.dtype, name=f"inception{name}")
                x = module(x, train=train)
                if self.aux_heads and name in _AUXILIARY and (train or self.is_initializing()):
                    head = AuxiliaryHead(
                        self.num_classes,
                        self.aux_dropout_rate,
                        dtype=self.dtype,
                        name=_AUXILIARY[name],
                    )
                    stages[_AUXILIARY[name]] = head(x, train=train)
            stages[f"stage{stage}"] = x
        logits, stages["pre_logits"] = classify(
            x,
            self.num_classes,
            train=train,
            name="fc",
            dtype=self.dtype,
            dropout_rate=self.dropout_rate,
            kernel_init=_init,
            bias_init=uniform_bias,
        )
        return (logits, stages) if features else logits


NETWORKS = {
    # With `aux_heads` 13,004,888 parameters and 15,072 statistics.
    "googlenet": Network(GoogLeNet),
}
