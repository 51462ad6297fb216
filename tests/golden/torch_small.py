"""PyTorch definitions of networks for small images: the others than residual ones."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class _DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int, bottleneck: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.bottleneck = bottleneck
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inputs, growth, 3, 1, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.relu(self.bn1(x)))
        if self.bottleneck:
            y = self.conv2(F.relu(self.bn2(y)))
        return torch.cat([x, y], 1)


class _Transition(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, width, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(self.conv(F.relu(self.bn(x))), 2)


class _DenseNet(nn.Module):
    """`compact`: the paper's BC, with bottlenecks and transitions that halve the channels."""

    def __init__(self, depth: int, growth: int, compact: bool, num_classes: int) -> None:
        super().__init__()
        layers = (depth - 4) // (6 if compact else 3)
        width = 2 * growth if compact else 16
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        for block in (1, 2, 3):
            dense = [_DenseLayer(width + i * growth, growth, compact) for i in range(layers)]
            setattr(self, f"dense{block}", nn.Sequential(*dense))
            width += layers * growth
            if block < 3:
                inputs, width = width, width // 2 if compact else width
                setattr(self, f"trans{block}", _Transition(inputs, width))
        self.bn = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trans1(self.dense1(self.conv1(x)))
        x = self.dense3(self.trans2(self.dense2(x)))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


def densenet_cifar(num_classes: int, depth: int, growth: int, compact: bool) -> nn.Module:
    """Huang et al. 2017; `compact`: DenseNet-BC."""
    return _DenseNet(depth, growth, compact, num_classes)


def lenet5(num_classes: int) -> nn.Module:
    """LeCun et al. 1998, fully connected maps, plain averages, for 28-pixel images."""
    return _LeNet(1, 2, num_classes)


def lenet5_cifar(num_classes: int) -> nn.Module:
    """The same for 32-pixel images of three channels."""
    return _LeNet(3, 0, num_classes)


class _LeNet(nn.Module):
    def __init__(self, channels: int, padding: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 6, 5, 1, padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.conv2(x)), 2).flatten(1)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(x)))))


class _VGG(nn.Module):
    def __init__(self, row: str, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for word in row.split():
            if word == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                width = int(word)
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


def vgg11_bn_cifar(num_classes: int) -> nn.Module:
    """Configuration A of Simonyan and Zisserman, normalized, with one linear layer."""
    return _VGG("64 M 128 M 256 256 M 512 512 M 512 512 M", num_classes)


def vgg13_bn_cifar(num_classes: int) -> nn.Module:
    """Configuration B, likewise."""
    return _VGG("64 64 M 128 128 M 256 256 M 512 512 M 512 512 M", num_classes)


def vgg16_bn_cifar(num_classes: int) -> nn.Module:
    """Configuration D, likewise."""
    return _VGG("64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M", num_classes)


def vgg19_bn_cifar(num_classes: int) -> nn.Module:
    """Configuration E, likewise."""
    row = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"
    return _VGG(row, num_classes)


def nin_cifar(num_classes: int) -> nn.Module:
    """Lin, Chen and Yan 2014: no linear layer; each map of the last layer is a class."""

    def unit(inputs: int, width: int, kernel: int) -> nn.Module:
        conv = nn.Conv2d(inputs, width, kernel, padding=kernel // 2)
        return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU()))

    def stage(inputs: int, kernel: int, widths: tuple[int, int, int], **more: nn.Module) -> Any:
        a, b, c = widths
        units = unit(inputs, a, kernel), unit(a, b, 1), unit(b, c, 1)
        named = {f"unit{index}": layer for index, layer in enumerate(units, start=1)}
        return nn.Sequential(OrderedDict(named | more))

    features = OrderedDict(
        stage1=stage(3, 5, (192, 160, 96), pool=nn.MaxPool2d(3, 2, 1)),
        stage2=stage(96, 5, (192, 192, 192), pool=nn.AvgPool2d(3, 2, 1)),
        stage3=stage(192, 3, (192, 192, num_classes)),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
    )
    return nn.Sequential(OrderedDict(features=nn.Sequential(features)))


def cnn(num_classes: int) -> nn.Module:
    """Read `conv8k5s2-bn-relu-maxpool3s2-dwconv-silu-avgpool2-fc16-tanh` for 32-pixel images."""
    layers = {
        "conv8k5s2": nn.Conv2d(3, 8, 5, 2, 2),
        "bn": nn.BatchNorm2d(8),
        "relu": nn.ReLU(),
        "maxpool3s2": nn.MaxPool2d(3, 2),
        "dwconv": nn.Conv2d(8, 8, 3, 1, 1, groups=8),
        "silu": nn.SiLU(),
        "avgpool2": nn.Sequential(nn.AvgPool2d(2), nn.Flatten()),
        "fc16": nn.Linear(8 * 3 * 3, 16),
        "tanh": nn.Tanh(),
    }
    numbered = {
        str(n): nn.Sequential(OrderedDict({k: v})) for n, (k, v) in enumerate(layers.items())
    }
    return nn.Sequential(OrderedDict(numbered | {"classifier": nn.Linear(16, num_classes)}))


def mobilenet_v2_cifar(num_classes: int) -> nn.Module:
    """torchvision's, without the strides of the stem and of the first group that has one."""
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2(num_classes=num_classes)
    network.features[0][0].stride = (1, 1)
    network.features[2].conv[1][0].stride = (1, 1)
    return network


def efficientnet_b0_cifar(num_classes: int) -> nn.Module:
    """torchvision's, without the strides of the stem and of the first group that has one."""
    from torchvision.models import efficientnet_b0

    network = efficientnet_b0(num_classes=num_classes)
    network.features[0][0].stride = (1, 1)
    network.features[2][0].block[1][0].stride = (1, 1)
    return network


def _all_convolutional(sizes: tuple[int, ...], num_classes: int) -> nn.Module:
    """Springenberg et al. 2015, table 2, with kernels of `sizes` before each strided one."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for stage, width in enumerate((96, 192), start=1):
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index, size in enumerate((*sizes, 3), start=1):
            stride = 2 if index > len(sizes) else 1
            layers[f"conv{index}"] = nn.Conv2d(inputs, width, size, stride, (size - 1) // 2)
            layers[f"relu{index}"] = nn.ReLU()
            inputs = width
        stages[f"stage{stage}"] = nn.Sequential(layers)
    last = {"conv1": nn.Conv2d(192, 192, 3), "relu1": nn.ReLU()}
    last |= {"conv2": nn.Conv2d(192, 192, 1), "relu2": nn.ReLU()}
    stages["stage3"] = nn.Sequential(OrderedDict(last))
    stages["classifier"] = nn.Conv2d(192, num_classes, 1)
    stages["relu"] = nn.ReLU()
    stages["pool"] = nn.AdaptiveAvgPool2d(1)
    stages["flat"] = nn.Flatten()
    return nn.Sequential(stages)


def allconv_a_cifar(num_classes: int) -> nn.Module:
    """All-CNN-A."""
    return _all_convolutional((5,), num_classes)


def allconv_b_cifar(num_classes: int) -> nn.Module:
    """All-CNN-B."""
    return _all_convolutional((5, 1), num_classes)


def allconv_c_cifar(num_classes: int) -> nn.Module:
    """All-CNN-C."""
    return _all_convolutional((3, 3), num_classes)


class _ShiftNorm(nn.BatchNorm2d):
    """A batch norm whose factor is 1, and no parameter."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-12, momentum=0.4)
        self.weight = None


def _airbench_group(inputs: int, width: int) -> nn.Module:
    layers = {
        "conv1": nn.Conv2d(inputs, width, 3, padding="same", bias=False),
        "pool": nn.MaxPool2d(2),
        "norm1": _ShiftNorm(width),
        "act1": nn.GELU(),
        "conv2": nn.Conv2d(width, width, 3, padding="same", bias=False),
        "norm2": _ShiftNorm(width),
        "act2": nn.GELU(),
    }
    return nn.Sequential(OrderedDict(layers))


class _Ninth(nn.Linear):
    """A linear layer whose result is divided by 9."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 9


def airbench94_cifar(num_classes: int) -> nn.Module:
    """Jordan 2024, for 32 pixels."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 2),
        nn.GELU(),
        _airbench_group(24, 64),
        _airbench_group(64, 256),
        _airbench_group(256, 256),
        nn.MaxPool2d(3),
        nn.Flatten(),
        _Ninth(256, num_classes, bias=False),
    )
