"""Augmentation on the device: pure functions on a batch, and the values that a recipe has of them.

A value is called with a key, images and targets and gives images and targets. The functions take
uint8 or floating-point images `[B, H, W, C]`, return the same dtype and draw for each image apart.
"""

from cnnjax.data.augment.erase import Cutout, cutout
from cnnjax.data.augment.geometry import HorizontalFlip, RandomCrop, random_crop, random_flip
from cnnjax.data.augment.images import Augmentation, Normalize, normalize
from cnnjax.data.augment.mix import CutMix, MixUp

__all__ = [
    "Augmentation",
    "CutMix",
    "Cutout",
    "HorizontalFlip",
    "MixUp",
    "Normalize",
    "RandomCrop",
    "cutout",
    "normalize",
    "random_crop",
    "random_flip",
]
