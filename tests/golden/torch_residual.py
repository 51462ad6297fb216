"""PyTorch definitions of residual networks for small images: torchvision and timm have none."""

from collections.abc import Callable

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


def _next_block(groups: int, inner: float) -> Callable[..., nn.Module]:
    """ResNeXt: bottlenecks of `groups` groups, `inner` times as wide inside as outside."""

    def block(inputs: int, width: int, stride: int, option: str) -> nn.Module:
        return _Bottleneck(inputs, width, stride, option, int(width * inner), groups)

    return block


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


def resnet_cifar(
    num_classes: int,
    depths: tuple[int, ...],
    stem: int = 16,
    option: str = "A",
    bottleneck: bool = False,
) -> nn.Module:
    """He et al. 2016, section 4.2, or a wide one for large images, with a 3x3 stem, no pooling."""
    if bottleneck:
        return _ResNet(depths, stem, option, num_classes, _Bottleneck, 4)
    return _ResNet(depths, stem, option, num_classes)


def resnext29_32x4d_cifar(num_classes: int, depths: tuple[int, ...] = (3, 3, 3)) -> nn.Module:
    """Xie et al. 2017, section 5.3: 4 channels a group where the output has 256."""
    return _ResNet(depths, 64, "B", num_classes, _next_block(32, 1 / 2), 4)


def resnext29_16x64d_cifar(num_classes: int) -> nn.Module:
    """Sixteen groups of 64 channels there."""
    return _ResNet((3, 3, 3), 64, "B", num_classes, _next_block(16, 4), 4)


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


def wrn_cifar(num_classes: int, depth: int, widen: int) -> nn.Module:
    """Zagoruyko and Komodakis 2016; of width 1, He et al. 2016 (identity mappings)."""
    return _WideResNet(depth, widen, num_classes)


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


def pyramidnet_cifar(num_classes: int, depth: int, alpha: int) -> nn.Module:
    """Han, Kim and Kim 2017: basic blocks that widen from 16 by `alpha` in all."""
    return _PyramidNet(depth, alpha, num_classes)


class _ShakeBranch(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(F.relu(x))))))


class _ShakeShortcut(nn.Module):
    """Two samples of the image, the second from a pixel further up and left."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, width // 2, 1, bias=False)
        self.conv2 = nn.Conv2d(inputs, width // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(x)
        first = F.avg_pool2d(x, 1, self.stride)
        second = F.avg_pool2d(F.pad(x, (1, -1, 1, -1)), 1, self.stride)
        return self.bn(torch.cat([self.conv1(first), self.conv2(second)], 1))


class _ShakeBlock(nn.Module):
    """Even weights, in training too."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch1 = _ShakeBranch(inputs, width, stride)
        self.branch2 = _ShakeBranch(inputs, width, stride)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != width:
            self.shortcut = _ShakeShortcut(inputs, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + 0.5 * self.branch1(x) + 0.5 * self.branch2(x)


class _ShakeShake(nn.Module):
    def __init__(self, width: int, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage in range(3):
            layer = []
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                layer.append(_ShakeBlock(inputs, width * 2**stage, stride))
                inputs = width * 2**stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.linear = nn.Linear(inputs, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)))))
        return self.linear(F.relu(x).mean((2, 3)))


def shakeshake26_2x32d_cifar(num_classes: int, blocks: int = 4) -> nn.Module:
    """Gastaldi 2017, with even weights."""
    return _ShakeShake(32, blocks, num_classes)


def shakeshake26_2x96d_cifar(num_classes: int) -> nn.Module:
    """Three times as wide."""
    return _ShakeShake(96, 4, num_classes)
