"""PyTorch definitions of networks for small images that neither torchvision nor timm has."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class _Shortcut(nn.Module):
    """Option A of He et al. 2016: every second pixel, and zero channels on both sides."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra // 2))


class _Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Sequential()
        if inputs != width or stride != 1:
            if option == "A":
                self.shortcut = _Shortcut(width - inputs)
            else:
                projection = nn.Conv2d(inputs, width, 1, stride, bias=False)
                self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class _Bottleneck(nn.Module):
    def __init__(
        self, inputs: int, width: int, stride: int, option: str, inner: int = 0, groups: int = 1
    ) -> None:
        super().__init__()
        inner = inner or width // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Sequential()
        if inputs != width or stride != 1:
            projection = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + self.shortcut(x))


def _next_block(inputs: int, width: int, stride: int, option: str) -> nn.Module:
    """ResNeXt, cardinality 32: bottlenecks twice as wide as 4 channels a group at 256."""
    return _Bottleneck(inputs, width, stride, option, inner=width // 2, groups=32)


class _ResNet(nn.Module):
    def __init__(
        self,
        depths: tuple[int, ...],
        stem: int,
        option: str,
        num_classes: int,
        block: Callable[..., nn.Module] = _Block,
        expansion: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        inputs = stem
        self.stages = len(depths)
        for stage, depth in enumerate(depths):
            width, blocks = expansion * stem * 2**stage, []
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(block(inputs, width, stride, option))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.linear(x.mean((2, 3)))


def resnet20_cifar(num_classes: int) -> nn.Module:
    """He et al. 2016, section 4.2, with the shortcut of option A."""
    return _ResNet((3, 3, 3), 16, "A", num_classes)


def resnet20_b_cifar(num_classes: int) -> nn.Module:
    """The same with projections, option B."""
    return _ResNet((3, 3, 3), 16, "B", num_classes)


def resnet56_cifar(num_classes: int) -> nn.Module:
    """He et al. 2016, section 4.2, nine blocks a stage."""
    return _ResNet((9, 9, 9), 16, "A", num_classes)


def resnet164_bottleneck_cifar(num_classes: int) -> nn.Module:
    """Eighteen bottlenecks a stage, outputs of 64, 128 and 256 channels."""
    return _ResNet((18, 18, 18), 16, "B", num_classes, _Bottleneck, 4)


def resnet18_cifar(num_classes: int) -> nn.Module:
    """ResNet-18 with a 3x3 stem and no pooling."""
    return _ResNet((2, 2, 2, 2), 64, "B", num_classes)


def resnet50_cifar(num_classes: int) -> nn.Module:
    """ResNet-50 with a 3x3 stem and no pooling."""
    return _ResNet((3, 4, 6, 3), 64, "B", num_classes, _Bottleneck, 4)


def resnext29_32x4d_cifar(num_classes: int, depths: tuple[int, ...] = (3, 3, 3)) -> nn.Module:
    """Xie et al. 2017, section 5.3."""
    return _ResNet(depths, 64, "B", num_classes, _next_block, 4)


class _PreBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        if inputs != width or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn1(x))
        if hasattr(self, "shortcut"):
            x = self.shortcut(y)
        return x + self.conv2(F.relu(self.bn2(self.conv1(y))))


class _WideResNet(nn.Module):
    """Three stages; depth counts the convolutions, the stem and the linear layer in."""

    def __init__(self, depth: int, widen: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        inputs = 16
        for stage in range(3):
            width, blocks = 16 * widen * 2**stage, []
            for index in range((depth - 4) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(_PreBlock(inputs, width, stride))
                inputs = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(inputs)
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


def wrn16_4_cifar(num_classes: int) -> nn.Module:
    """Zagoruyko and Komodakis 2016, depth 16, four times as wide."""
    return _WideResNet(16, 4, num_classes)


def wrn28_10_cifar(num_classes: int) -> nn.Module:
    """The same, depth 28, ten times as wide."""
    return _WideResNet(28, 10, num_classes)


def preresnet20_cifar(num_classes: int) -> nn.Module:
    """He et al. 2016 (identity mappings): a wide residual network of width 1."""
    return _WideResNet(22, 1, num_classes)


class _PreActResNet18(nn.Module):
    """Four stages of two blocks, neither norm nor activation at the end."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        inputs = 64
        for stage, width in enumerate((64, 128, 256, 512), start=1):
            stride = 1 if stage == 1 else 2
            blocks = _PreBlock(inputs, width, stride), _PreBlock(width, width, 1)
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            inputs = width
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        return self.linear(x.mean((2, 3)))


def preact_resnet18_cifar(num_classes: int) -> nn.Module:
    """ResNet-18 with pre-activation blocks, a 3x3 stem and no pooling."""
    return _PreActResNet18(num_classes)


class _PyramidBlock(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.stride, self.extra = stride, width - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn3(self.conv2(F.relu(self.bn2(self.conv1(self.bn1(x))))))
        if self.stride != 1:
            x = F.avg_pool2d(x, 2)
        return y + F.pad(x, (0, 0, 0, 0, 0, self.extra))


class _PyramidNet(nn.Module):
    def __init__(self, depth: int, alpha: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        count = (depth - 2) // 6
        exact, inputs = 16.0, 16
        for stage in range(3):
            blocks = []
            for index in range(count):
                exact += alpha / (3 * count)
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(_PyramidBlock(inputs, round(exact), stride))
                inputs = round(exact)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.bn = nn.BatchNorm2d(inputs)
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)))))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


def pyramidnet110_a48_cifar(num_classes: int, depth: int = 110) -> nn.Module:
    """Han, Kim and Kim 2017: basic blocks that widen from 16 by 48 in all."""
    return _PyramidNet(depth, 48, num_classes)


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


def densenet40_12_cifar(num_classes: int, depth: int = 40) -> nn.Module:
    """Huang et al. 2017, without bottlenecks or compression."""
    return _DenseNet(depth, 12, False, num_classes)


def densenet_bc40_12_cifar(num_classes: int, depth: int = 40) -> nn.Module:
    """Huang et al. 2017, DenseNet-BC."""
    return _DenseNet(depth, 12, True, num_classes)


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
    """Configuration A of Simonyan and Zisserman, normalised, with one linear layer."""
    return _VGG("64 M 128 M 256 256 M 512 512 M 512 512 M", num_classes)


def vgg16_bn_cifar(num_classes: int) -> nn.Module:
    """Configuration D, likewise."""
    return _VGG(
        "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
        num_classes,
    )


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
