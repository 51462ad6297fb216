"""The networks compared with their reference: one row each, read by the script and by the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One comparison: its `name`, and where the network and its reference are defined.

    `network` is the name here. `source` is "torchvision", "timm" or "small" (`torch_small.py` and
    `torch_residual.py` beside this file); `reference` the name there, of a function or a class.
    Either is "" for `name`. `arguments` go to the reference, `overrides` to `cnnjax.build`. Images
    are `[batch, channels, size, size]`. `slow` keeps the case out of the default run. `float64`:
    the comparison is in float64, for networks whose training step is too ill-conditioned for
    float32; evaluation is compared in float32 as well.
    """

    name: str
    size: int = 64
    batch: int = 2
    source: str = "torchvision"
    reference: str = ""
    network: str = ""
    slow: bool = False
    float64: bool = False
    channels: int = 3
    arguments: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of the images, `[B, C, H, W]`."""
        return (self.batch, self.channels, self.size, self.size)


def _cases(names: str, **settings: Any) -> tuple[Case, ...]:
    return tuple(Case(name, **settings) for name in names.split())


def _shallow(depths: tuple[int, ...], theirs: str = "layers", ours: str = "depths") -> Any:
    """Settings that make a deep network cheap."""
    return {"arguments": {theirs: depths}, "overrides": {ours: depths}}


_WIDE: dict[str, Any] = {"float64": True, "slow": True}
_TIMM: dict[str, Any] = {"source": "timm", "float64": True}
_SMALL: dict[str, Any] = {"source": "small", "float64": True, "size": 32}
CNN = "conv8k5s2-bn-relu-maxpool3s2-dwconv-silu-avgpool2-fc16-tanh"
_HEADLESS = {"aux_logits": False, "init_weights": False}

CASES = (
    Case("resnet18"),
    Case("resnet50", slow=True),
    Case("resnext50_32x4d"),
    *_cases("resnet34 resnet101 resnet152 wide_resnet50_2 wide_resnet101_2", **_WIDE),
    *_cases("resnext101_32x8d resnext101_64x4d", **_WIDE),
    Case("mobilenet_v2", float64=True),
    Case("vgg11", size=32),
    *_cases("vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn", **_WIDE),
    Case("alexnet"),
    Case("squeezenet1_1"),
    Case("squeezenet1_0", **_WIDE),
    Case(
        "densenet121_shallow",
        network="densenet121",
        reference="DenseNet",
        float64=True,
        **_shallow((2, 2, 2, 2), "block_config"),
    ),
    Case("densenet121", slow=True),
    *_cases("densenet161 densenet169 densenet201", **_WIDE),
    Case("mobilenet_v3_small", float64=True),
    Case("mobilenet_v3_large", **_WIDE),
    Case("shufflenet_v2_x0_5", float64=True),
    *_cases("shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0", **_WIDE),
    Case("mnasnet0_5", float64=True),
    *_cases("mnasnet0_75 mnasnet1_0 mnasnet1_3", **_WIDE),
    Case("efficientnet_b0", float64=True),
    *(Case(f"efficientnet_b{n}", **_WIDE) for n in range(1, 8)),
    *_cases("efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l", **_WIDE),
    Case("regnet_y_400mf", float64=True),
    *_cases("regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf", **_WIDE),
    *_cases("regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf", **_WIDE),
    *_cases("regnet_x_8gf regnet_x_16gf regnet_x_32gf regnet_y_32gf", **_WIDE),
    Case("convnext_tiny"),
    *_cases("convnext_small convnext_base convnext_large", **_WIDE),
    Case("googlenet", float64=True, arguments=_HEADLESS),
    Case(
        "googlenet_heads",
        network="googlenet",
        reference="googlenet",
        arguments={"init_weights": False},
        overrides={"aux_heads": True},
        **_WIDE,
    ),
    Case("inception_v3", size=107, float64=True, arguments=_HEADLESS),
    Case(
        "inception_v3_heads",
        size=299,
        network="inception_v3",
        reference="inception_v3",
        arguments={"init_weights": False},
        overrides={"aux_heads": True},
        **_WIDE,
    ),
    Case("cnn", **_SMALL, overrides={"spec": CNN}),
    Case("lenet5", **_SMALL | {"size": 28}, channels=1),
    Case("lenet5_cifar", **_SMALL, slow=True),
    Case("vgg11_bn_cifar", **_SMALL),
    Case("vgg16_bn_cifar", **_SMALL, slow=True),
    Case("nin_cifar", **_SMALL),
    Case("resnet20_cifar", size=32, source="small"),
    Case("resnet20_b_cifar", **_SMALL, network="resnet20_cifar", overrides={"shortcut": "B"}),
    Case("resnet18_cifar", size=32, source="small", slow=True),
    *_cases("resnet56_cifar resnet164_bottleneck_cifar resnet50_cifar", **_SMALL, slow=True),
    Case("resnext29_32x4d_cifar", **_SMALL, **_shallow((1, 1, 1), "depths")),
    Case("preresnet20_cifar", **_SMALL),
    Case("preact_resnet18_cifar", **_SMALL, slow=True),
    Case("wrn16_4_cifar", size=32, source="small", slow=True),
    Case("wrn28_10_cifar", **_SMALL, slow=True),
    Case(
        "pyramidnet_shallow_cifar",
        network="pyramidnet110_a48_cifar",
        reference="pyramidnet110_a48_cifar",
        arguments={"depth": 14},
        overrides={"blocks": 2},
        **_SMALL,
    ),
    Case("pyramidnet110_a48_cifar", **_SMALL, slow=True),
    Case(
        "densenet_bc_shallow_cifar",
        network="densenet_bc40_12_cifar",
        reference="densenet_bc40_12_cifar",
        arguments={"depth": 16},
        overrides={"depth": 2},
        **_SMALL,
    ),
    *_cases("densenet_bc40_12_cifar densenet40_12_cifar", **_SMALL, slow=True),
    Case("mobilenet_v2_cifar", **_SMALL, slow=True),
    Case("efficientnet_b0_cifar", **_SMALL, slow=True),
    Case("resnet18d", source="timm", slow=True),
    *_cases("resnet26d resnet34d resnet50d seresnet18 ecaresnet26t", **_TIMM, slow=True),
    *_cases("seresnext50_32x4d seresnext101d_32x8d", **_TIMM, slow=True),
    Case("ecaresnet50t", **_TIMM, slow=True),
    *_cases("res2net50_48w_2s res2net50_14w_8s res2next50 res2net50d", **_TIMM, slow=True),
    Case("skresnet50d", **_TIMM, batch=4, **_shallow((1, 1, 1, 1))),
    *_cases("skresnet18 skresnet34 skresnext50_32x4d", **_TIMM, batch=4, slow=True),
    Case("skresnet50", **_TIMM, batch=4, slow=True),
    Case("resnest50d", **_TIMM, batch=4, **_shallow((1, 1, 1, 1))),
    *_cases("resnest14d resnest26d resnest101e", **_TIMM, batch=4, slow=True),
    *_cases("resnest50d_4s2x40d resnest50d_1s4x24d", **_TIMM, batch=4, slow=True),
    *_cases("resnetv2_50d resnetv2_50x1_bit resnetv2_101x1_bit", **_TIMM, slow=True),
    Case("nf_resnet50", **_TIMM, **_shallow((1, 1, 1, 1), "depths")),
    *_cases("nf_resnet26 nf_resnet101", **_TIMM, slow=True),
    *_cases("eca_nfnet_l1 eca_nfnet_l2", **_TIMM, slow=True),
    *_cases("convnextv2_nano convnextv2_tiny convnextv2_base", **_TIMM, slow=True),
    *_cases("fasternet_t1 fasternet_s", **_TIMM, slow=True),
    *_cases("inception_next_tiny inception_next_base", **_TIMM, slow=True),
    Case("efficientnet_lite0", **_TIMM, slow=True),
    Case("tf_efficientnet_lite0", **_TIMM, size=72),
    *_cases("efficientnet_lite2 tf_efficientnet_lite4", **_TIMM, slow=True),
    Case("mobilenetv1_100", **_TIMM),
    *_cases("mobilenetv1_100h mobilenetv1_125", **_TIMM, slow=True),
    Case("mobilenetv4_conv_small", **_TIMM, batch=4),
    *_cases("mobilenetv4_conv_small_035 mobilenetv4_conv_small_050", **_TIMM, batch=4, slow=True),
    *_cases("mobilenetv4_conv_medium mobilenetv4_conv_large", **_TIMM, batch=4, slow=True),
    *_cases("repvgg_a0 repvgg_a1 repvgg_b0 repvgg_b1g4 repvgg_b2", **_TIMM, slow=True),
    *_cases("mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s4", **_TIMM, slow=True),
    Case("starnet_s1", **_TIMM, **_shallow((1, 1, 2, 1), "depths")),
    *_cases("starnet_s2 starnet_s4 starnet_s050 starnet_s150", **_TIMM, slow=True),
    Case("legacy_xception", **_TIMM, slow=True),
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
    Case(
        "dla34",
        source="timm",
        float64=True,
        arguments={"levels": (1, 1, 1, 1, 2, 1)},
        overrides={"depths": (1, 1, 2, 1)},
    ),
    Case("dla46x_c", source="timm", float64=True, slow=True),
    Case("dla102", source="timm", float64=True, slow=True),
    Case(
        "dpn68",
        source="timm",
        float64=True,
        arguments={"k_sec": (1, 2, 1, 1)},
        overrides={"depths": (1, 2, 1, 1)},
    ),
    Case("dpn48b", source="timm", float64=True, slow=True),
    Case("dpn92", source="timm", float64=True, slow=True),
    Case("hrnet_w18_small", source="timm", float64=True),
    Case("hrnet_w18", source="timm", float64=True, slow=True),
    Case(
        "ese_vovnet39b",
        source="timm",
        float64=True,
        arguments={"block_per_stage": (1, 1, 2, 1), "layer_per_block": 2},
        overrides={"depths": (1, 1, 2, 1), "layers": 2},
    ),
    Case("vovnet39a", source="timm", float64=True, slow=True),
    Case("ese_vovnet19b_dw", source="timm", float64=True, slow=True),
    Case("eca_vovnet39b", source="timm", float64=True, slow=True),
    Case("ese_vovnet39b_evos", source="timm", float64=True, slow=True),
    Case("cspresnet50", source="timm", float64=True),
    Case("cspresnext50", source="timm", float64=True, slow=True),
    Case("cspdarknet53", source="timm", float64=True, slow=True),
    Case("cs3sedarknet_xdw", source="timm", float64=True, slow=True),
    Case("cs3darknet_focus_s", source="timm", float64=True, slow=True),
    Case("cs3se_edgenet_x", source="timm", float64=True, slow=True),
    Case("sedarknet21", source="timm", float64=True, slow=True),
    Case("darknetaa53", source="timm", float64=True, slow=True),
)
