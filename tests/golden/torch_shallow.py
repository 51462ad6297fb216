"""Networks of torchvision and timm made smaller where their functions do not offer that."""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn


def vgg_narrow(num_classes: int) -> nn.Module:
    """64 hidden units instead of 4096."""
    from torchvision.models.vgg import VGG, cfgs, make_layers

    network = VGG(make_layers(cfgs["A"]), num_classes, init_weights=False)
    network.classifier[0] = nn.Linear(512 * 7 * 7, 64)
    network.classifier[3] = nn.Linear(64, 64)
    network.classifier[6] = nn.Linear(64, num_classes)
    return network


def resnet50_shallow(num_classes: int) -> nn.Module:
    """Five bottlenecks."""
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 2, 1, 1], num_classes)


def alexnet_narrow(num_classes: int) -> nn.Module:
    """64 hidden units instead of 4096."""
    from torchvision.models import alexnet

    network = alexnet(num_classes=num_classes)
    network.classifier[1] = nn.Linear(256 * 6 * 6, 64)
    network.classifier[4] = nn.Linear(64, 64)
    network.classifier[6] = nn.Linear(64, num_classes)
    return network


def mobilenet_v3_shallow(num_classes: int) -> nn.Module:
    """Four blocks of the small MobileNetV3."""
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    rows = (
        (16, 3, 16, 16, True, "RE", 2, 1),
        (16, 3, 72, 24, False, "RE", 2, 1),
        (24, 5, 96, 40, True, "HS", 2, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
    )
    settings = [InvertedResidualConfig(*row, 1.0) for row in rows]
    return MobileNetV3(settings, 1024, num_classes)


def efficientnet_b0_shallow(num_classes: int) -> nn.Module:
    """One block a group."""
    from torchvision.models.efficientnet import EfficientNet, _efficientnet_conf

    settings, last = _efficientnet_conf("efficientnet_b0", width_mult=1.0, depth_mult=0.1)
    return EfficientNet(settings, 0.0, num_classes=num_classes, last_channel=last)


def convnext_tiny_shallow(num_classes: int) -> nn.Module:
    """Five blocks."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    widths = (96, 192, 384, 768, None)
    settings = [
        CNBlockConfig(width, following, depth)
        for width, following, depth in zip(widths, widths[1:], (1, 1, 2, 1), strict=False)
    ]
    return ConvNeXt(settings, num_classes=num_classes)


def regnet_y_shallow(num_classes: int) -> nn.Module:
    """Six blocks."""
    from torchvision.models.regnet import BlockParams, RegNet

    params = BlockParams.from_init_params(6, 48, 80.0, 2.09, 8, se_ratio=0.25)
    return RegNet(params, num_classes)


def blocks_shallow(num_classes: int, variant: str, blocks: int, **settings: float) -> nn.Module:
    """At most `blocks` blocks in a stage of a network that timm decodes from strings."""
    from timm import create_model
    from timm.models import efficientnet, hardcorenas, mobilenetv3

    def cut(*args: object, **kwargs: object) -> list[list[dict[str, object]]]:
        return [stage[:blocks] for stage in decode(*args, **kwargs)]

    decode = efficientnet.decode_arch_def
    with ExitStack() as stack:
        for module in (efficientnet, hardcorenas, mobilenetv3):
            stack.enter_context(patch.object(module, "decode_arch_def", cut))
        return create_model(variant, num_classes=num_classes, **settings)


def regnet_y_128gf_shallow(num_classes: int) -> nn.Module:
    """Four blocks, steeper."""
    from torchvision.models.regnet import BlockParams, RegNet

    params = BlockParams.from_init_params(4, 456, 1800.0, 2.52, 264, se_ratio=0.25)
    return RegNet(params, num_classes)


def byob_shallow(num_classes: int, variant: str, depths: tuple[int, ...]) -> nn.Module:
    """timm's `variant` of RepVGG, MobileOne and the like with `depths` blocks in its stages."""
    from timm.models.byobnet import ByobNet, model_cfgs

    config = model_cfgs[variant]
    # A stage is one setting with a count of blocks, or a list of them, two settings a block.
    blocks = [
        stage[: 2 * depth] if isinstance(stage, list) else [replace(stage, d=depth)]
        for stage, depth in zip(config.blocks, depths, strict=True)
    ]
    return ByobNet(replace(config, blocks=blocks), num_classes=num_classes)


def selecsls_shallow(num_classes: int) -> nn.Module:
    """A stage of two blocks and two layers."""
    from timm.models.selecsls import SelecSls, SelecSlsBlock

    config = {
        "block": SelecSlsBlock,
        "features": [(32, 0, 64, 64, True, 2), (64, 64, 64, 128, False, 1)],
        "head": [(128, 96, 3, 2), (96, 64, 3, 1)],
        "num_features": 64,
        "feature_info": [],
    }
    return SelecSls(config, num_classes=num_classes)


def hgnet_shallow(
    num_classes: int, variant: str, depths: tuple[int, ...], layers: int, affine: bool = False
) -> nn.Module:
    """timm's PP-HGNet `variant` with `depths` blocks in its stages, of `layers` layers."""
    from timm.models.hgnet import HighPerfGpuNet, model_cfgs

    config = dict(model_cfgs[variant])
    for stage, depth in enumerate(depths, start=1):
        inputs, width, outputs, _, *rest = config[f"stage{stage}"]
        config[f"stage{stage}"] = [inputs, width, outputs, depth, *rest[:-1], layers]
    return HighPerfGpuNet(config, num_classes=num_classes, use_lab=affine)


def csp_shallow(num_classes: int, variant: str, depths: tuple[int, ...]) -> nn.Module:
    """timm's CSPNet `variant` with `depths` blocks in its stages."""
    from timm.models.cspnet import CspNet, model_cfgs

    config = model_cfgs[variant]
    config = replace(config, stages=replace(config.stages, depth=depths))
    return CspNet(config, num_classes=num_classes)


def bit_shallow(num_classes: int, variant: str, depths: tuple[int, ...]) -> nn.Module:
    """timm's BiT `variant` with `depths` blocks in its stages."""
    from timm.models.resnetv2 import _create_resnetv2_bit

    width = int(variant.partition("x")[2][0])
    settings = {"layers": depths, "width_factor": width, "num_classes": num_classes}
    return _create_resnetv2_bit(variant, **settings)


def ghost_shallow(num_classes: int, version: str, groups: tuple[Any, ...]) -> nn.Module:
    """timm's GhostNet of `version`, or its RepGhostNet, with other groups of blocks."""
    from timm.models.ghostnet import GhostNet
    from timm.models.repghost import RepGhostNet

    # Squeeze-excite is a ratio there.
    settings = [[[*row[:3], row[3] / 4, row[4]] for row in rows] for rows in groups]
    if version == "rep":
        return RepGhostNet(settings, num_classes)
    return GhostNet(settings, num_classes, version=version)


def legacy_xception_shallow(num_classes: int) -> nn.Module:
    """One block in the middle."""
    from timm.models.xception import Xception

    network = Xception(num_classes)
    network.block5 = network.block12
    for index in range(6, 13):
        setattr(network, f"block{index}", nn.Identity())
    return network


def convmixer_shallow(num_classes: int) -> nn.Module:
    """Two blocks of a sixteenth of the width."""
    from timm.models.convmixer import ConvMixer

    return ConvMixer(96, 2, kernel_size=9, patch_size=7, num_classes=num_classes)


def inception_v3_shallow(num_classes: int) -> nn.Module:
    """One module a stride."""
    from torchvision.models.inception import Inception3, InceptionB, InceptionC

    network = Inception3(num_classes, aux_logits=False, init_weights=False)
    network.Mixed_6a, network.Mixed_6b = InceptionB(256), InceptionC(736, channels_7x7=128)
    for name in ("5c", "5d", "6c", "6d", "6e", "7c"):
        setattr(network, f"Mixed_{name}", nn.Identity())
    return network


def inception_v4_shallow(num_classes: int) -> nn.Module:
    """One block of each kind."""
    from timm.models.inception_v4 import InceptionV4

    network = InceptionV4(num_classes)
    kept = (*range(7), 10, 11, 18, 19)
    network.features = nn.Sequential(*(network.features[index] for index in kept))
    return network


def inception_resnet_v2_shallow(num_classes: int) -> nn.Module:
    """One residual block of each kind: the third is also the last, without ReLU."""
    from timm.models.inception_resnet_v2 import InceptionResnetV2

    network = InceptionResnetV2(num_classes)
    network.repeat, network.repeat_1 = network.repeat[:1], network.repeat_1[:1]
    network.repeat_2 = nn.Sequential()
    return network


def nasnet_shallow(num_classes: int) -> nn.Module:
    """A tenth as wide, the first two cells only."""
    from timm.models.nasnet import NASNetALarge

    network = NASNetALarge(num_classes, stem_size=16, num_features=24 * 16)
    for index in range(18):
        delattr(network, f"cell_{index}")
    del network.reduction_cell_0, network.reduction_cell_1
    network.last_linear = nn.Linear(4 * 8, num_classes)

    def forward_features(images: torch.Tensor) -> torch.Tensor:
        stem = network.conv0(images)
        return network.cell_stem_1(stem, network.cell_stem_0(stem)).relu()

    network.forward_features = forward_features
    return network


def pnasnet_shallow(num_classes: int, cells: int = 0) -> nn.Module:
    """The first two cells, which stride, and `cells` others."""
    from timm.models.pnasnet import PNASNet5Large

    # Its initial values, which nothing uses, take a minute to draw.
    with torch.device("meta"):
        network = PNASNet5Large(num_classes, pad_type="same")
        for index in range(cells, 12):
            delattr(network, f"cell_{index}")
        network.last_linear = nn.Linear(5 * (216 if cells else 108), num_classes)
    network.to_empty(device="cpu")

    def forward_features(images: torch.Tensor) -> torch.Tensor:
        stem = network.conv_0(images)
        before = network.cell_stem_0(stem)
        x = network.cell_stem_1(stem, before)
        for index in range(cells):
            before, x = x, getattr(network, f"cell_{index}")(before, x)
        return x.relu()

    network.forward_features = forward_features
    return network
