"""Networks of torchvision and timm made smaller where their functions do not offer that."""

from torch import nn


def vgg_narrow(num_classes: int) -> nn.Module:
    """64 hidden units instead of 4096."""
    from torchvision.models.vgg import VGG, cfgs, make_layers

    network = VGG(make_layers(cfgs["A"]), num_classes, init_weights=False)
    network.classifier[0] = nn.Linear(512 * 7 * 7, 64)
    network.classifier[3] = nn.Linear(64, 64)
    network.classifier[6] = nn.Linear(64, num_classes)
    return network


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


def regnet_y_shallow(num_classes: int) -> nn.Module:
    """Six blocks."""
    from torchvision.models.regnet import BlockParams, RegNet

    params = BlockParams.from_init_params(6, 48, 80.0, 2.09, 8, se_ratio=0.25)
    return RegNet(params, num_classes)


def tf_efficientnet_lite0_shallow(num_classes: int) -> nn.Module:
    """One block a group."""
    from timm.models.efficientnet import _gen_efficientnet_lite

    return _gen_efficientnet_lite(
        "tf_efficientnet_lite0",
        depth_multiplier=0.1,
        bn_eps=1e-3,
        pad_type="same",
        num_classes=num_classes,
    )
