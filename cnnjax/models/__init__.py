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
    cspnet,
    cspnext,
    darknet,
    densenet,
    densenet_cifar,
    dla,
    dpn,
    efficientnet,
    efficientnet_lite,
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
    mobilenet_edgetpu,
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
from cnnjax.models.facts import Facts, facts_of
from cnnjax.models.fields import check_fields, plain
from cnnjax.models.network import Network

__all__ = ["FAMILIES", "MODELS", "Facts", "Network", "build", "facts_of", "list_models"]

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
    convnext,
    googlenet,
    inception_v3,
    resnet_d,
    byobnet,
    senet,
    res2net,
    resnetv2,
    nfnet,
    fasternet,
    inception_next,
    mambaout,
    efficientnet_lite,
    condconv,
    mobilenet_edgetpu,
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


def build(network: str, /, **overrides: Any) -> nn.Module:
    """Return the network of that name; `overrides` replace fields of its family.

    Nothing is traced or allocated. `name`, where given, is the module's name within another, as of
    any Linen module.

    Raises:
      BadArgument: an unknown network or field, a field of another type or out of range.

    >>> build("resnet18", num_classes=10).num_classes
    10
    """
    if network not in MODELS:
        raise unknown("network", network, MODELS)
    row = MODELS[network]
    family: Any = row.family
    of_linen = {"name", "parent"}
    fields = {f.name for f in dataclasses.fields(family)} - of_linen
    for field in overrides:
        if field not in fields | of_linen:
            raise unknown(f"{network}: override", field, fields)
    inner = overrides.get("name")
    if not isinstance(inner, str | None):
        raise BadArgument(f"{network}: name is {inner!r}; it must be text")
    given = {field: plain(value) for field, value in overrides.items()}
    check_fields(network, family, row.fields, {f: given[f] for f in given if f in fields})
    return family(**{**row.fields, **given})
