"""torchvision's networks."""

from typing import Any

from case import Case, named, shallow

_WIDE: dict[str, Any] = {"float64": True, "slow": True}
_HEADLESS = {"aux_logits": False, "init_weights": False}
_HEADS: dict[str, Any] = {"arguments": {"init_weights": False}, "overrides": {"aux_heads": True}}

CASES = (
    Case("resnet18"),
    Case(
        "resnet50_shallow",
        source="small",
        network="resnet50",
        overrides={"depths": (1, 2, 1, 1)},
        float64=True,
    ),
    Case("resnet50", slow=True),
    Case("resnext50_32x4d", slow=True),
    *named("resnet34 resnet101 resnet152 wide_resnet50_2 wide_resnet101_2", **_WIDE),
    *named("resnext101_32x8d resnext101_64x4d", **_WIDE),
    Case("mobilenet_v2", float64=True),
    Case("vgg_narrow", 32, 2, "small", "", "vgg11", float64=True, overrides={"hidden": 64}),
    Case("vgg11", size=32, slow=True),
    *named("vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn", **_WIDE),
    Case("alexnet_narrow", 64, 2, "small", "", "alexnet", float64=True, overrides={"hidden": 64}),
    Case("alexnet", slow=True),
    Case("squeezenet1_1"),
    Case("squeezenet1_0", **_WIDE),
    Case(
        "densenet121_shallow",
        network="densenet121",
        reference="DenseNet",
        float64=True,
        **shallow((2, 2, 2, 2), "block_config"),
    ),
    Case("densenet121", slow=True),
    *named("densenet161 densenet169 densenet201", **_WIDE),
    Case(
        "mobilenet_v3_shallow",
        network="mobilenet_v3_small",
        source="small",
        float64=True,
        overrides={"stages": "four blocks"},
    ),
    *named("mobilenet_v3_small mobilenet_v3_large", **_WIDE),
    Case("shufflenet_v2_x0_5", float64=True),
    *named("shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0", **_WIDE),
    Case("mnasnet0_5", float64=True),
    *named("mnasnet0_75 mnasnet1_0 mnasnet1_3", **_WIDE),
    Case(
        "efficientnet_b0_shallow",
        network="efficientnet_b0",
        source="small",
        float64=True,
        overrides={"blocks": 1},
    ),
    *(Case(f"efficientnet_b{n}", **_WIDE) for n in range(8)),
    *named("efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l", **_WIDE),
    Case(
        "regnet_y_shallow",
        network="regnet_y_400mf",
        source="small",
        float64=True,
        overrides={"line.depth": 6, "line.w_a": 80.0},
    ),
    *named("regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf", **_WIDE),
    *named("regnet_y_16gf regnet_y_32gf", **_WIDE),
    # Its four widths, a block of each: the whole takes more memory than it is worth.
    Case(
        "regnet_y_128gf",
        source="small",
        reference="regnet_y_128gf_shallow",
        overrides={"line.depth": 4, "line.w_a": 1800.0},
        **_WIDE,
    ),
    *named("regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf", **_WIDE),
    *named("regnet_x_16gf regnet_x_32gf", **_WIDE),
    Case(
        "convnext_tiny_shallow",
        source="small",
        network="convnext_tiny",
        overrides={"depths": (1, 1, 2, 1)},
    ),
    *named("convnext_tiny convnext_small convnext_base convnext_large", **_WIDE),
    Case("googlenet", float64=True, arguments=_HEADLESS, slow="step"),
    Case("googlenet_heads", reference="googlenet", network="googlenet", **_HEADS, **_WIDE),
    Case(
        "inception_v3_shallow",
        size=107,
        source="small",
        network="inception_v3",
        overrides={"depths": (1, 1, 1)},
        float64=True,
    ),
    Case("inception_v3", size=107, float64=True, arguments=_HEADLESS, slow=True),
    Case(
        "inception_v3_heads",
        size=299,
        reference="inception_v3",
        network="inception_v3",
        **_HEADS,
        **_WIDE,
    ),
)
