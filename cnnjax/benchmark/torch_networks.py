"""Networks for 32-pixel images in PyTorch, as their papers define them, for the torch peer.

Neither torchvision nor timm has them. torch is imported when one is built, so that this file can
be read without it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

__all__ = ["NETWORKS"]


def _residual(depths: Sequence[int], width: int, projection: bool) -> Any:
    """He et al. 2016 (arXiv:1512.03385): basic blocks, option A or B shortcuts."""
    from torch import nn
    from torch.nn.functional import pad, relu

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride, self.more = stride, outputs - inputs
            self.shortcut = None
            if projection and (self.more or stride > 1):
                conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            y = relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            if self.shortcut is not None:
                x = self.shortcut(x)
            elif self.more:
                half = self.more // 2
                x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
            return relu(x + y)

    layers: list[Any] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage, depth in enumerate(depths):
        for index in range(depth):
            outputs = width * 2**stage
            layers.append(Block(inputs, outputs, 2 if stage and not index else 1))
            inputs = outputs
    return nn.Sequential(*layers, *_head(inputs))


def _wide(blocks: int, factor: int) -> Any:
    """Zagoruyko and Komodakis 2016 (arXiv:1605.07146): pre-activation blocks, wider."""
    from torch import nn
    from torch.nn.functional import relu

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.bn1 = nn.BatchNorm2d(inputs)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            same = inputs == outputs and stride == 1
            self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

        def forward(self, x: Any) -> Any:
            y = relu(self.bn1(x))
            if self.shortcut is not None:
                x = self.shortcut(y)
            return x + self.conv2(relu(self.bn2(self.conv1(y))))

    layers: list[Any] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False)]
    inputs = 16
    for stage in range(3):
        for index in range(blocks):
            outputs = 16 * factor * 2**stage
            layers.append(Block(inputs, outputs, 2 if stage and not index else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.BatchNorm2d(inputs), nn.ReLU(), *_head(inputs))


def _dense(layers_a_block: int, growth: int) -> Any:
    """Huang et al. 2017 (arXiv:1608.06993): DenseNet-BC."""
    import torch
    from torch import nn
    from torch.nn.functional import relu

    class Layer(nn.Module):
        def __init__(self, inputs: int) -> None:
            super().__init__()
            self.bn1 = nn.BatchNorm2d(inputs)
            self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(4 * growth)
            self.conv2 = nn.Conv2d(4 * growth, growth, 3, 1, 1, bias=False)

        def forward(self, x: Any) -> Any:
            return torch.cat([x, self.conv2(relu(self.bn2(self.conv1(relu(self.bn1(x))))))], 1)

    channels = 2 * growth
    layers: list[Any] = [nn.Conv2d(3, channels, 3, 1, 1, bias=False)]
    for block in range(3):
        for _ in range(layers_a_block):
            layers.append(Layer(channels))
            channels += growth
        if block < 2:
            half = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), half, nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), *_head(channels))


def _mobilenet_v2() -> Any:
    """torchvision's, without the strides of the stem and of the first group that has one."""
    import torchvision

    network = torchvision.models.mobilenet_v2(num_classes=10)
    network.features[0][0].stride = (1, 1)
    network.features[2].conv[1][0].stride = (1, 1)
    return network


def _head(channels: int) -> tuple[Any, ...]:
    from torch import nn

    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)


NETWORKS: dict[str, Callable[[], Any]] = {
    "resnet20_cifar": partial(_residual, (3, 3, 3), 16, False),
    "resnet56_cifar": partial(_residual, (9, 9, 9), 16, False),
    "resnet18_cifar": partial(_residual, (2, 2, 2, 2), 64, True),
    "wrn16_4_cifar": partial(_wide, 2, 4),
    "wrn28_10_cifar": partial(_wide, 4, 10),
    "densenet_bc40_12_cifar": partial(_dense, 6, 12),
    "mobilenet_v2_cifar": _mobilenet_v2,
}
"""Name to a function that builds the network."""
