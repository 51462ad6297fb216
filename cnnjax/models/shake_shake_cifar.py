"""Shake-shake networks: two residual branches, mixed at random, another way for the gradient.

Gastaldi 2017 (arXiv:1705.07485), the S-S-I networks, as the author's Torch code (xgastaldi,
shake-shake) defines them.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, classify, kaiming_normal, relu, run, uniform
from cnnjax.typing import Array, DType, Images

__all__ = ["NETWORKS", "ShakeBlock", "ShakeShake", "mix"]


def mix(first: Array, second: Array, forward: Array, backward: Array) -> Array:
    """Return `forward * first + (1 - forward) * second`, differentiated as if it were `backward`.

    The value is `m(backward) + stop_gradient(m(forward) - m(backward))` with
    `m(a) = second + a * (first - second)`, so that forward and reverse mode both see `backward`.

    Args:
        first: `[B, H, W, C]`.
        second: `[B, H, W, C]`.
        forward: weights in [0, 1] that broadcast to the images: `[B, 1, 1, 1]`, one for each.
        backward: the same for the derivative.
    """
    difference = first - second
    shaken = jax.lax.stop_gradient((forward - backward) * difference)
    return second + backward * difference + shaken


class ShakeBlock(nn.Module):
    """Two branches ReLU, 3x3 convolution, norm, twice each, that `mix` weighs, and a shortcut.

    In training each image draws its two weights uniformly from [0, 1], from the stream `dropout`;
    in evaluation, and without `shake`, they are one half. A shortcut that changes shape samples the
    image twice, the second time shifted by a pixel, and convolves each to half of `width`.
    """

    width: int
    strides: int = 1
    shake: bool = True
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H / strides, W / strides, width]`."""

        def conv(x: Array, width: int, size: int, strides: int, name: str) -> Array:
            return Conv(
                width,
                (size, size),
                strides,
                padding=size // 2,
                use_bias=False,
                kernel_init=kaiming_normal,
                dtype=self.dtype,
                name=name,
            )(x)

        def norm(x: Array, name: str) -> Array:
            return BatchNorm(0.9, 1e-5, dtype=self.dtype, name=name)(x, train=train)

        def branch(x: Array, name: str) -> Array:
            y = norm(conv(x, self.width, 3, self.strides, f"{name}.conv1"), f"{name}.bn1")
            return norm(conv(relu(y), self.width, 3, 1, f"{name}.conv2"), f"{name}.bn2")

        activated = relu(x)
        first, second = branch(activated, "branch1"), branch(activated, "branch2")
        if train and self.shake:
            shape = (x.shape[0], 1, 1, 1)
            forward, backward = jax.random.uniform(self.make_rng("dropout"), (2, *shape), x.dtype)
            y = mix(first, second, forward, backward)
        else:
            y = (first + second) / 2
        if x.shape[-1] == self.width:
            return x + y
        shifted = jnp.pad(activated[:, :-1, :-1], ((0, 0), (1, 0), (1, 0), (0, 0)))
        halves = [
            conv(image, self.width // 2, 1, self.strides, f"shortcut.conv{index}")
            for index, image in enumerate((activated, shifted), start=1)
        ]
        return norm(jnp.concatenate(halves, axis=-1), "shortcut.bn") + y


class ShakeShake(nn.Module):
    """A 3x3 stem of 16 channels, three stages of `ShakeBlock`, ReLU, pooling and a linear layer.

    `width` is that of the first stage, `blocks` the blocks of each.
    """

    width: int
    blocks: int = 4
    shake: bool = True
    num_classes: int = 10
    remat: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images)
        x = Conv(
            16,
            (3, 3),
            padding=1,
            use_bias=False,
            kernel_init=kaiming_normal,
            dtype=self.dtype,
            name="conv1",
        )(images)
        x = BatchNorm(0.9, 1e-5, dtype=self.dtype, name="bn1")(x, train=train)
        stages = {"stem": x}
        for stage in range(3):
            for index in range(self.blocks):
                block = ShakeBlock(
                    self.width * 2**stage,
                    strides=2 if stage > 0 and index == 0 else 1,
                    shake=self.shake,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}.{index}",
                )
                x = run(block, x, train=train, remat=self.remat)
            stages[f"stage{stage + 1}"] = x
        x = relu(x)
        logits, stages["pre_logits"] = classify(
            x, self.num_classes, train=train, name="linear", dtype=self.dtype, kernel_init=uniform
        )
        return (logits, stages) if features else logits


NETWORKS = {
    "shakeshake26_2x32d_cifar": Network(ShakeShake, {"width": 32}),
    "shakeshake26_2x96d_cifar": Network(ShakeShake, {"width": 96}),
}
