"""A network and a dataset so small that a whole training run takes milliseconds."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnnjax.data import Dataset


class Toy(nn.Module):
    num_classes: int = 3

    @nn.compact
    def __call__(self, images, *, train, features=False):
        x = nn.Conv(4, (3, 3), strides=2)(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        x = nn.Dropout(0.2, deterministic=not train)(x.mean(axis=2).reshape(x.shape[0], -1))
        return nn.Dense(self.num_classes)(x).astype(jnp.float32)


def toy_set(number: int, split: str, seed: int = 0, size: int = 8) -> Dataset:
    """Bright bands at one of three heights, in noise."""
    draw = np.random.default_rng([seed, number])
    labels = draw.integers(0, 3, number).astype(np.int32)
    images = draw.integers(0, 120, (number, size, size, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 3] += 80
    return Dataset("toy", split, images, labels, ("high", "middle", "low"))
