"""Numbers drawn from names: the same arrays for the reference and for cnnjax, numpy only.

Each array is a function of its name and shape (and, for images, a seed), so neither side has to
store it.

Scales keep activations O(1) through any depth, and gradients computable in float32: a unit whose
input is within rounding of a kink (0 of a ReLU, 6 of a ReLU6, +-3 of a hard swish) changes the
gradient by a step, and a chain of normalizations amplifies rounding. So what a BatchNorm puts out
has a small spread around 1, which leaves a few percent of the units clipped, and one channel in
eight lies anywhere in [-6, 8], which reaches every kink.

Evaluation has BatchNorms of its own, because there nothing removes a constant: with those of
training it would swamp what depends on the image after a few layers. So their offsets are small,
and one channel in eight has a large factor instead.
"""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

CLASSES = 10


def _generator(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(text.encode()))


def parameter(name: str, shape: Sequence[int], norm: str = "") -> np.ndarray:
    """Draw the float32 array called `name` in a torch state dict.

    Kernels are He-uniform by fan-in, those stored as rows of a matrix in [-0.4, 0.4], factors
    uniform in [0.6, 1.4], biases in [-0.2, 0.2]. `norm` is "training" or "evaluation" for those of
    a BatchNorm, as said above.
    """
    shape = tuple(shape)
    generator = _generator(f"{name} {shape}")
    uniform = generator.random(shape, dtype=np.float32) * 2 - 1
    leaf = name.rpartition(".")[2]
    if leaf == "running_mean":
        return np.float32(0.2) * uniform
    if leaf == "running_var":
        return np.float32(1 if norm == "training" else 3) * (1 + np.float32(0.4) * uniform)
    if norm == "training" and leaf == "weight":
        return np.float32(0.4) + np.float32(0.1) * uniform
    if norm == "training" and leaf == "bias":
        far = generator.random(shape, dtype=np.float32) < 0.125
        return 1 + np.where(far, np.float32(7), np.float32(0.4)) * uniform
    if norm == "evaluation" and leaf == "weight":
        large = generator.random(shape, dtype=np.float32) < 0.125
        return np.where(large, np.float32(4), np.float32(1)) * (1 + np.float32(0.4) * uniform)
    if leaf.endswith("bias"):
        return np.float32(0.2) * uniform
    if int(np.prod(shape)) == max(shape, default=1):  # a vector, whatever axes of 1 it has
        return 1 + np.float32(0.4) * uniform
    if len(shape) == 2 and ".conv_" in name:  # kernels to be mixed, each a row
        return np.float32(0.4) * uniform
    return np.float32(np.sqrt(6 / np.prod(shape[1:]))) * uniform


def state(shapes: Mapping[str, tuple[int, ...]], mode: str) -> dict[str, np.ndarray]:
    """Draw a network's parameters and running statistics from `name -> shape`.

    `mode` is "training" or "evaluation".
    """
    norms = {name.rpartition(".")[0] for name in shapes if name.endswith("running_mean")}
    return {
        name: parameter(name, shape, mode if name.rpartition(".")[0] in norms else "")
        for name, shape in shapes.items()
    }


def images(case: str, seed: int, shape: Sequence[int]) -> np.ndarray:
    """Draw float32 images `[B, C, H, W]`, standard normal."""
    return _generator(f"{case} images {seed}").standard_normal(tuple(shape), dtype=np.float32)


def labels(batch: int) -> np.ndarray:
    """Return the labels of a batch: 0, 1, ..., as int32."""
    return np.arange(batch, dtype=np.int32) % CLASSES


def projections(name: str, array: np.ndarray, count: int = 1) -> np.ndarray:
    """Return `count` Gaussian projections of `array`, divided by the root of `count`.

    The norm of the difference of two results is the norm of the difference of the arrays, to about
    `1 / sqrt(2 count)`; a permutation of the array shows.
    """
    matrix = _generator(f"{name} projections").standard_normal((count, array.size))
    return matrix @ np.asarray(array, np.float64).ravel() / np.sqrt(count)
