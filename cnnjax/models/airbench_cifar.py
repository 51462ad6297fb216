"""The network of airbench94: the least work that gives CIFAR-10 at 94 %.

Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv:2404.00498), as its code
(KellerJordan/cifar10-airbench) defines it: the kernel of the first convolution comes from the
training images and is not trained, BatchNorm has no factor, and convolutions start as identities.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn

from cnnjax import ops
from cnnjax.models.network import Network, check_images
from cnnjax.nn import BatchNorm, Conv, gelu, uniform, widen
from cnnjax.typing import Array, DType, Images, Key, Variables

__all__ = [
    "NETWORKS",
    "Airbench",
    "ConvGroup",
    "WhiteningConv",
    "dirac",
    "whitened",
    "whitening_kernel",
]


def dirac(key: Key, shape: Sequence[int], dtype: DType = jnp.float32) -> Array:
    """Draw a kernel `[k, k, C, features]` whose first C outputs are the inputs, unchanged.

    The others are `uniform`. With odd k and padding `k // 2` that is an identity.
    """
    kernel = uniform(key, shape, dtype)
    height, width, inputs, features = shape
    same = min(inputs, features)
    identity = jnp.zeros((height, width, inputs, same), dtype)
    identity = identity.at[height // 2, width // 2].set(jnp.eye(inputs, same, dtype=dtype))
    return kernel.at[..., :same].set(identity)


def whitening_kernel(images: Images, *, size: int = 2, epsilon: float = 5e-4) -> Array:
    """Return the kernel that whitens the patches of `images`, and its negative.

    With `E` and `l` the eigenvectors and eigenvalues, largest first, of the patches' second moment
    (images are normalized, so no mean is subtracted): filter i is `E_i / sqrt(l_i + epsilon)`, and
    filter `size * size * C + i` its negative, since an activation follows.

    Args:
        images: `[N, H, W, C]` normalized; the reference takes 5,000 training images.
        size: height and width of a patch.
        epsilon: bounds the factor of directions in which patches hardly vary.

    Returns:
        `[size, size, C, 2 * size * size * C]` float32.
    """
    height, width, channels = images.shape[1:]
    rows, columns = height - size + 1, width - size + 1
    shifts = [images[:, y : y + rows, x : x + columns] for y in range(size) for x in range(size)]
    patches = jnp.concatenate(shifts, axis=-1).reshape(-1, size * size * channels)
    moment = jnp.matmul(patches.T, patches, precision="highest") / len(patches)
    values, vectors = jnp.linalg.eigh(moment)
    filters = (vectors / jnp.sqrt(values + epsilon).reshape(1, -1))[:, ::-1]
    kernel = jnp.concatenate([filters, -filters], axis=1)
    return kernel.reshape(size, size, channels, -1).astype(jnp.float32)


def whitened(variables: Variables, images: Images) -> Variables:
    """Return variables of an `Airbench` whose first kernel whitens images.

    Args:
        variables: of the network, such as `init` draws.
        images: `[N, H, W, C]` normalized; the reference takes 5,000 training images.
    """
    statistics = variables["batch_stats"]
    whitening = {**statistics["0"], "kernel": whitening_kernel(images)}
    return {**variables, "batch_stats": {**statistics, "0": whitening}}


class WhiteningConv(nn.Module):
    """An unpadded convolution to `2 * size * size * C` channels with a kernel that is not trained.

    The kernel is among the batch statistics, where no optimizer and no weight decay reaches it;
    it is made to be replaced by that of the training images, as `whitened` does. The parameter `bias` is trained.
    """

    size: int = 2
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map `[B, H, W, C]` to `[B, H - size + 1, W - size + 1, 2 * size * size * C]`."""
        features = 2 * self.size**2 * x.shape[-1]
        shape = (self.size, self.size, x.shape[-1], features)

        def draw() -> Array:
            return dirac(self.make_rng("params"), shape)

        kernel = self.variable("batch_stats", "kernel", draw).value
        bias = self.param("bias", nn.initializers.zeros_init(), (features,), jnp.float32)
        x = ops.conv2d(x.astype(self.dtype), kernel.astype(self.dtype), padding="VALID")
        return x + bias.astype(self.dtype).reshape(1, 1, 1, features)


class ConvGroup(nn.Module):
    """A 3x3 convolution, a 2x2 max pool, another convolution; a norm and GELU after each."""

    width: int
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Map `[B, H, W, C]` to `[B, H // 2, W // 2, width]`."""

        def conv(x: Array, name: str) -> Array:
            return Conv(
                self.width,
                (3, 3),
                padding=1,
                use_bias=False,
                kernel_init=dirac,
                dtype=self.dtype,
                name=name,
            )(x)

        def norm(x: Array, name: str) -> Array:
            layer = BatchNorm(0.6, 1e-12, use_scale=False, dtype=self.dtype, name=name)
            return layer(x, train=train)

        x = gelu(norm(ops.max_pool(conv(x, "conv1"), 2), "norm1"))
        return gelu(norm(conv(x, "conv2"), "norm2"))


class Airbench(nn.Module):
    """A whitening layer, three `ConvGroup`, the maximum over positions and a linear layer.

    The maximum is that of 3x3 positions at 32 pixels. Logits are multiplied by `scaling`. Train
    from variables that are `whitened`.
    """

    widths: tuple[int, ...] = (64, 256, 256)
    scaling: float = 1 / 9
    num_classes: int = 10
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(
        self, images: Images, *, train: bool, features: bool = False
    ) -> Array | tuple[Array, dict[str, Array]]:
        """Map `[B, H, W, C]` to logits `[B, num_classes]`, with the stages if `features`."""
        check_images(self, images, smallest=1 + 2 ** len(self.widths))
        x = gelu(WhiteningConv(dtype=self.dtype, name="0")(images))
        stages = {"stem": x}
        for stage, width in enumerate(self.widths, start=1):
            x = ConvGroup(width, dtype=self.dtype, name=f"{stage + 1}")(x, train=train)
            stages[f"stage{stage}"] = x
        x = stages["pre_logits"] = x.max((1, 2))
        logits = nn.Dense(
            self.num_classes,
            use_bias=False,
            dtype=self.dtype,
            kernel_init=uniform,
            name=f"{len(self.widths) + 4}",
        )(x)
        logits = widen(logits) * self.scaling
        return (logits, stages) if features else logits


NETWORKS = {
    # Parameters are those that are trained; the whitening kernel's 288 are among the statistics.
    "airbench94_cifar": Network(Airbench),
}
