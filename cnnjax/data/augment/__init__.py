"""Augmentation on the device: pure functions on a batch, and the values that a recipe has of them.

A value is called with a key, images and targets and gives images and targets. The functions take
uint8 or floating-point images `[B, H, W, C]`, return the same dtype and draw for each image apart.
"""

from cnnjax.data.augment.color import (
    ColorJitter,
    GaussianBlur,
    RandomGray,
    color_jitter,
    gaussian_blur,
    random_gray,
)
from cnnjax.data.augment.erase import Cutout, RandomErasing, cutout, random_erasing
from cnnjax.data.augment.geometry import (
    AlternatingFlip,
    HorizontalFlip,
    RandomCrop,
    VerticalFlip,
    alternating_flip,
    random_crop,
    random_flip,
    random_vertical_flip,
)
from cnnjax.data.augment.images import Augmentation, Moment, Normalize, normalize, takes_moment
from cnnjax.data.augment.mix import CutMix, MixUp, OneOf
from cnnjax.data.augment.policies import (
    RandAugment,
    TrivialAugment,
    rand_augment,
    trivial_augment,
)
from cnnjax.data.augment.resized import RandomResizedCrop, random_resized_crop

__all__ = [
    "AlternatingFlip",
    "Augmentation",
    "ColorJitter",
    "CutMix",
    "Cutout",
    "GaussianBlur",
    "HorizontalFlip",
    "MixUp",
    "Moment",
    "Normalize",
    "OneOf",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomGray",
    "RandomResizedCrop",
    "TrivialAugment",
    "VerticalFlip",
    "alternating_flip",
    "color_jitter",
    "cutout",
    "gaussian_blur",
    "normalize",
    "rand_augment",
    "random_crop",
    "random_erasing",
    "random_flip",
    "random_gray",
    "random_resized_crop",
    "random_vertical_flip",
    "takes_moment",
    "trivial_augment",
]
