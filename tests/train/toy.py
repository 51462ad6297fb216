"""Networks and a dataset so small that a whole training run takes milliseconds."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax.data import Dataset
from cnnjax.nn import BatchNorm


class Toy(nn.Module):
    num_classes: int = 3

    @nn.compact
    def __call__(self, images, *, train, features=False):
        x = nn.Conv(4, (3, 3), strides=2)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x.mean(axis=2).reshape(x.shape[0], -1))
        return nn.Dense(self.num_classes)(x).astype(jnp.float32)


class Linear(nn.Module):
    """Two linear layers, `body` and `head`: what numpy can train as well."""

    width: int = 2
    num_classes: int = 3

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(self.width, name="body")(images.reshape(len(images), -1))
        return nn.Dense(self.num_classes, name="head")(x)


class Normed(nn.Module):
    """A body with a norm and dropout, and a head."""

    rate: float = 0.5

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(4, name="body")(images.reshape(len(images), -1))
        x = BatchNorm(name="norm")(x, train=train)
        x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(3, name="head")(x)


class Recorder(nn.Module):
    """Keeps all that it is shown in training: `batch_stats` are a diary of `steps` pages."""

    steps: int
    batch: int

    @nn.compact
    def __call__(self, images, *, train):
        page = self.variable("batch_stats", "page", jnp.zeros, (), jnp.int32)
        size = (self.steps, self.batch, *images.shape[1:])
        shown = self.variable("batch_stats", "shown", jnp.zeros, size)
        drawn = self.variable("batch_stats", "drawn", jnp.zeros, self.steps, jnp.uint32)
        if train and not self.is_initializing():
            shown.value = shown.value.at[page.value].set(images)
            bits = jax.random.bits(self.make_rng("dropout"))
            drawn.value = drawn.value.at[page.value].set(bits)
            page.value += 1
        bias = self.param("bias", nn.initializers.zeros, (3,))
        return jnp.tile(bias[None], (len(images), 1))


class Fragile(nn.Module):
    """Logits that do not depend on the image, and are NaN once one of them passes 100."""

    @nn.compact
    def __call__(self, images, *, train):
        bias = self.param("bias", nn.initializers.zeros, (3,))
        broken = jnp.abs(bias).max() > 100
        return jnp.where(broken, jnp.nan, jnp.tile(bias[None], (len(images), 1)))


def toy_set(number: int, split: str, seed: int = 0, size: int = 8) -> Dataset:
    """Bright bands at one of three heights, in noise."""
    draw = np.random.default_rng([seed, number])
    labels = draw.integers(0, 3, number).astype(np.int32)
    images = draw.integers(0, 120, (number, size, size, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 3] += 80
    return Dataset("toy", split, images, labels, ("high", "middle", "low"))


def noise_set(number: int, size: int, channels: int = 1, seed: int = 0) -> Dataset:
    """Images without anything in them, of three classes in turn."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (number, size, size, channels)).astype(np.uint8)
    labels = (np.arange(number) % 3).astype(np.int32)
    return Dataset("noise", "train", images, labels, ("a", "b", "c"))
