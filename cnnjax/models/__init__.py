"""The networks: one family a file, all of them in the table `MODELS`."""

import dataclasses
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from flax import linen as nn

from cnnjax.errors import BadArgument, unknown
from cnnjax.models import (
    airbench_cifar,
    alexnet,
    allconv_cifar,
    byobnet,
    cnn,
    condconv,
    convmixer,
    convnext,
    convnext_timm,
    cspnet,
    cspnext,
    darknet,
    densenet,
    densenet_cifar,
    dla,
    dpn,
    efficientnet,
    efficientnet_lite,
    efficientnet_timm,
    fasternet,
    ghostnet,
    ghostnet_v3,
    googlenet,
    hardcorenas,
    hgnet,
    hrnet,
    inception_next,
    inception_v3,
    inception_v4,
    lcnet_v2,
    lenet,
    mambaout,
    mixnet,
    mnasnet,
    mobilenet_timm,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    mobilenet_v4,
    mobileone,
    nasnet,
    nfnet,
    nin_cifar,
    pnasnet,
    preresnet_cifar,
    rdnet,
    regnet,
    regnet_timm,
    repghost,
    repvgg,
    repvit,
    res2net,
    resnest,
    resnet,
    resnet_cifar,
    resnet_d,
    resnetv2,
    rexnet,
    selecsls,
    senet,
    shake_shake_cifar,
    shufflenet_v2,
    skresnet,
    squeezenet,
    starnet,
    tresnet,
    vgg,
    vgg_cifar,
    vovnet,
    xception,
    xception_aligned,
)
from cnnjax.models.network import Network

__all__ = ["FAMILIES", "MODELS", "Network", "build", "list_models"]

_FILES = (
    lenet,
    cnn,
    vgg_cifar,
    nin_cifar,
    resnet_cifar,
    preresnet_cifar,
    densenet_cifar,
    allconv_cifar,
    shake_shake_cifar,
    airbench_cifar,
    resnet,
    mobilenet_v2,
    vgg,
    alexnet,
    squeezenet,
    densenet,
    mobilenet_v3,
    shufflenet_v2,
    mnasnet,
    efficientnet,
    regnet,
    regnet_timm,
    convnext,
    googlenet,
    inception_v3,
    resnet_d,
    byobnet,
    senet,
    res2net,
    convnext_timm,
    resnetv2,
    nfnet,
    fasternet,
    inception_next,
    mambaout,
    efficientnet_timm,
    efficientnet_lite,
    condconv,
    mobilenet_timm,
    mixnet,
    hardcorenas,
    mobilenet_v4,
    lcnet_v2,
    skresnet,
    resnest,
    mobilenet_v1,
    repvgg,
    mobileone,
    repvit,
    starnet,
    xception,
    rexnet,
    xception_aligned,
    ghostnet,
    ghostnet_v3,
    repghost,
    convmixer,
    inception_v4,
    nasnet,
    pnasnet,
    tresnet,
    rdnet,
    dla,
    dpn,
    hrnet,
    vovnet,
    selecsls,
    hgnet,
    cspnet,
    cspnext,
    darknet,
)

MODELS: Mapping[str, Network] = {
    name: network for file in _FILES for name, network in file.NETWORKS.items()
}
"""Every network by its name."""

FAMILIES: Mapping[str, str] = {
    name: file.__name__.rpartition(".")[2] for file in _FILES for name in file.NETWORKS
}
"""The family of each, which is the name of the file with its row."""


def list_models(pattern: str = "*") -> list[str]:
    """Return the names that match a shell pattern, sorted.

    >>> list_models("resnet1?")
    ['resnet18']
    """
    return sorted(name for name in MODELS if fnmatchcase(name, pattern))


def build(name: str, **overrides: Any) -> nn.Module:
    """Return the network of that name; `overrides` replace fields of its family.

    Nothing is traced or allocated. Raises `BadArgument` for an unknown name or field, or a
    `num_classes` that is not a positive integer.

    >>> build("resnet18", num_classes=10).num_classes
    10
    """
    if name not in MODELS:
        raise unknown("network", name, MODELS)
    network = MODELS[name]
    family: Any = network.family
    fields = {f.name for f in dataclasses.fields(family)} - {"name", "parent"}
    for field in overrides:
        if field not in fields:
            raise unknown(f"{name}: override", field, fields)
    classes = overrides.get("num_classes", 1)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise BadArgument(f"{name}: num_classes is {classes!r}; it must be a positive integer")
    return family(name=name, **{**network.fields, **overrides})
