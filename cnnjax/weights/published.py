"""How the references prepare an image for the weights that the table of networks names.

The values are torchvision's (`weights.transforms()`) and timm's (`get_pretrained_cfg`); where timm
has no weights, those that its definition is marked with. `tests/weights` compares every network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from cnnjax.models import MODELS

__all__ = ["Preprocessing", "published_preprocessing"]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the input of a network with certain weights.

    The middle `crop` of the shorter side, a square, is resized to `size` pixels with
    `interpolation` ("bilinear" or "bicubic"), divided by 255, less `mean`, over `std`.
    """

    size: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_MNIST = ((0.1307,), (0.3081,))
# Dual-path networks keep the constants of the framework that they were trained in.
_DUAL_PATH = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)

# Names below are patterns, separated by spaces; the first that fits counts.
_NORMALISATION = {
    "dpn48b dpn68b": _IMAGENET,
    "dpn*": _DUAL_PATH,
    "cs3darknet_focus_s efficientnet_v2_l ese_vovnet57b inception_v4 inception_resnet_v2 "
    "legacy_xception mobilenetv1_* mobilenetv4_conv_small* resnet18d resnet50d resnetv2_* "
    "tf_efficientnet_lite* xception41* xception65* xception71": _HALF,
    "lenet5": _MNIST,
}

# torchvision interpolates linearly, timm cubically, but for these.
_INTERPOLATION = {
    "efficientnet_b[02-7] efficientnet_v2_l regnet_y_16gf regnet_y_32gf regnet_y_128gf": "bicubic",
    "hrnet_w18_small* legacy_seresnet18 legacy_seresnext26_32x4d resnetv2_50x1_bit": "bicubic",
    "cspdarknet53 cspresne* darknet17 darknet21 darknetaa53 dla* hrnet_* legacy_se* mobileone* "
    "repvgg* res2ne* resnest14d resnest26d resnest50d resnest101e resnetv2_*x*_bit "
    "resnext101_32x4d resnext101_32x16d resnext101_32x32d sedarknet21 "
    "tf_efficientnet_lite[34]": "bilinear",
}

# Where the weights see images of another size than the one multiply-adds are given for.
_SIZE = {
    "mobilenetv4_conv_small": 256,
    "convnextv2_nano convnextv2_tiny convnextv2_base convnextv2_large inception_next_base "
    "mobilenetv4_conv_medium regnet_y_16gf regnet_y_32gf resnetv2_34d": 384,
    "resnetv2_152x2_bit": 448,
    "convnextv2_huge": 512,
}

# The fraction of the shorter side, 7/8 but for these. torchvision resizes that side to some pixels
# and cuts out the size of the image.
_CROP = {
    "inception_v3": 299 / 342,
    "*efficientnet_lite1": 0.882,
    "cs3darknet_x cs3se_edgenet_x": 0.95,
    "cs* darknet* sedarknet*": 0.887,
    "*efficientnet_lite2": 0.89,
    "inception_resnet_v2 legacy_xception": 0.8975,
    "dm_nfnet_f0 eca_nfnet_* mobilenetv1_125 mobileone_s[1-4] nf_resnet26 nf_resnet101 nfnet_* "
    "resnet18d resnetv2_18* resnetv2_34": 0.9,
    "xception41 xception71": 0.903,
    "*efficientnet_lite3": 0.904,
    "resnest200e": 0.909,
    "dm_nfnet_f1 resnetrs50": 0.91,
    "dm_nfnet_f2 tf_efficientnet_lite4": 0.92,
    "efficientnet_lite4": 0.922,
    "resnest269e": 0.928,
    "dm_nfnet_f3 nf_resnet50 resnet26t resnet50_gn resnetrs101 xception*": 0.94,
    "dpn68b ecaresnet200d ecaresnet269d ese_vovnet57b hrnet_w18 hrnet_w*_ssld "
    "mobilenetv4_conv_small mobilenetv4_conv_medium mobilenetv4_conv_large resnet50d "
    "resnet101d resnet152d resnet200d resnetaa50 resnetaa50d resnetaa101d resnetv2_50 "
    "resnetv2_50d_gn resnetv2_101 seresnet152d seresnext101_32x8d seresnext101d_32x8d "
    "seresnextaa101d_32x8d": 0.95,
    "dm_nfnet_f4": 0.951,
    "dm_nfnet_f5": 0.954,
    "dm_nfnet_f6": 0.956,
    "convmixer_*": 0.96,
    "efficientnet_b1": 240 / 255,
    "efficientnet_b3": 300 / 320,
    "efficientnet_b4": 380 / 384,
    "convnext_tiny": 224 / 236,
    "convnext_small": 224 / 230,
    "convnextv2_atto convnextv2_femto convnextv2_pico convnextv2_small efficientnet_b0 "
    "inception_next_atto inception_next_tiny inception_next_small resnetv2_50x1_bit "
    "resnext50d_32x4d resnext101_32x4d resnext101_32x16d resnext101_32x32d": 7 / 8,
    "convnextv2_* efficientnet_b[2567] efficientnet_v2_* fasternet_* inception_next_base "
    "regnet_y_16gf regnet_y_32gf regnet_y_128gf resnetrs* resnetv2_34d resnetv2_*x*_bit "
    "seresnextaa201d_32x8d": 1.0,
    "convnext_base convnext_large mnasnet0_75 mnasnet1_3 mobilenet_v2 mobilenet_v3_large regnet_* "
    "resnet50 resnet101 resnet152 resnext* shufflenet_v2_x1_5 shufflenet_v2_x2_0 wide_resnet*": (
        224 / 232
    ),
}


def published_preprocessing(name: str) -> Preprocessing:
    """Return what the weights expect that `MODELS[name]` names; small images are not cut."""
    row = MODELS[name]
    mean, std = _first(_NORMALISATION, name, _IMAGENET)
    usual = "bilinear" if row.reference == "torchvision" else "bicubic"
    return Preprocessing(
        size=_first(_SIZE, name, row.input_size),
        crop=_first(_CROP, name, 7 / 8) if row.input_size > 64 else 1.0,
        interpolation=_first(_INTERPOLATION, name, usual),
        mean=mean,
        std=std,
    )


def _first(table: Mapping[str, Value], name: str, otherwise: Value) -> Value:
    for patterns, value in table.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return value
    return otherwise
