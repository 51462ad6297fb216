"""The networks compared with their reference: one row each, read by the script and by the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One network: `name` here; `source` and `reference` name where its reference is defined.

    `source` is "torchvision", "timm" or "small" (`torch_small.py` beside this file); `reference`
    its name there, "" for the same name; `arguments` go to the reference's constructor,
    `overrides` to `cnnjax.build`. Images are `[batch, channels, size, size]`. `slow` keeps the case
    out of the default run. `float64`: the comparison is in float64, for networks whose training
    step is too ill-conditioned for float32; evaluation is compared in float32 as well.
    """

    name: str
    size: int = 64
    batch: int = 2
    source: str = "torchvision"
    reference: str = ""
    slow: bool = False
    float64: bool = False
    channels: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images, `[B, C, H, W]`."""
        return (self.batch, self.channels, self.size, self.size)


CASES = (
    Case("resnet18"),
    Case("resnet34", slow=True),
    Case("resnet50", slow=True),
    Case("resnet101", slow=True),
    Case("resnet152", slow=True),
    Case("resnext50_32x4d"),
    Case("resnext101_32x8d", slow=True),
    Case("resnext101_64x4d", slow=True),
    Case("wide_resnet50_2", slow=True),
    Case("wide_resnet101_2", slow=True),
    Case("mobilenet_v2", float64=True),
    Case("vgg11", size=32),
    Case("alexnet"),
    Case("squeezenet1_1"),
    Case("densenet121", slow=True),
    Case("convnext_tiny"),
    Case("resnet20_cifar", size=32, source="small"),
    Case("resnet18_cifar", size=32, source="small", slow=True),
    Case("wrn16_4_cifar", size=32, source="small", slow=True),
    Case("resnet18d", source="timm", slow=True),
    Case(
        "seresnet50",
        source="timm",
        arguments={"layers": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
        slow=True,
    ),
    Case(
        "ecaresnet50d",
        source="timm",
        arguments={"layers": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
    ),
    Case(
        "res2net50_26w_4s",
        source="timm",
        arguments={"layers": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
    ),
    Case(
        "resnetv2_50",
        source="timm",
        arguments={"layers": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
    ),
    Case(
        "resnetv2_50t",
        source="timm",
        arguments={"layers": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
        slow=True,
    ),
    Case(
        "nfnet_f0",
        source="timm",
        arguments={"depths": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
    ),
    Case(
        "eca_nfnet_l0",
        source="timm",
        arguments={"depths": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
        slow=True,
    ),
    Case("convnextv2_atto", source="timm"),
    Case("fasternet_t0", source="timm"),
    Case("inception_next_atto", source="timm"),
    Case(
        "dm_nfnet_f0",
        source="timm",
        arguments={"depths": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
        slow=True,
    ),
)
