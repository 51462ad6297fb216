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
    convmixer,
    convnext,
    convnext_timm,
    cspnet,
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
    hrnet,
    inception_next,
    inception_v3,
    inception_v4,
    lenet,
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
    vgg,
    vgg_cifar,
    vovnet,
    xception,
    xception_aligned,
)
from cnnjax.models.network import Network

__all__ = ["MODELS", "Network", "build", "list_models"]

MODELS: Mapping[str, Network] = {
    **lenet.NETWORKS,
    **cnn.NETWORKS,
    **vgg_cifar.NETWORKS,
    **nin_cifar.NETWORKS,
    **resnet_cifar.NETWORKS,
    **preresnet_cifar.NETWORKS,
    **densenet_cifar.NETWORKS,
    **allconv_cifar.NETWORKS,
    **shake_shake_cifar.NETWORKS,
    **airbench_cifar.NETWORKS,
    **resnet.NETWORKS,
    **mobilenet_v2.NETWORKS,
    **vgg.NETWORKS,
    **alexnet.NETWORKS,
    **squeezenet.NETWORKS,
    **densenet.NETWORKS,
    **mobilenet_v3.NETWORKS,
    **shufflenet_v2.NETWORKS,
    **mnasnet.NETWORKS,
    **efficientnet.NETWORKS,
    **regnet.NETWORKS,
    **regnet_timm.NETWORKS,
    **convnext.NETWORKS,
    **googlenet.NETWORKS,
    **inception_v3.NETWORKS,
    **resnet_d.NETWORKS,
    **byobnet.NETWORKS,
    **senet.NETWORKS,
    **res2net.NETWORKS,
    **convnext_timm.NETWORKS,
    **resnetv2.NETWORKS,
    **nfnet.NETWORKS,
    **fasternet.NETWORKS,
    **inception_next.NETWORKS,
    **efficientnet_timm.NETWORKS,
    **efficientnet_lite.NETWORKS,
    **mobilenet_timm.NETWORKS,
    **mixnet.NETWORKS,
    **hardcorenas.NETWORKS,
    **mobilenet_v4.NETWORKS,
    **skresnet.NETWORKS,
    **resnest.NETWORKS,
    **mobilenet_v1.NETWORKS,
    **repvgg.NETWORKS,
    **mobileone.NETWORKS,
    **repvit.NETWORKS,
    **starnet.NETWORKS,
    **xception.NETWORKS,
    **rexnet.NETWORKS,
    **xception_aligned.NETWORKS,
    **ghostnet.NETWORKS,
    **ghostnet_v3.NETWORKS,
    **repghost.NETWORKS,
    **convmixer.NETWORKS,
    **inception_v4.NETWORKS,
    **nasnet.NETWORKS,
    **pnasnet.NETWORKS,
    **dla.NETWORKS,
    **dpn.NETWORKS,
    **hrnet.NETWORKS,
    **vovnet.NETWORKS,
    **selecsls.NETWORKS,
    **cspnet.NETWORKS,
    **darknet.NETWORKS,
}


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
