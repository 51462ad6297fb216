"""The networks compared with their reference: one row each, read by the script and by the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One comparison: its `name`, and where the network and its reference are defined.

    `network` is the name here. `source` is "torchvision", "timm" or "small" (`torch_small.py`,
    `torch_residual.py`, `torch_shallow.py`); `reference` the name there, of a function or a class.
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
# One residual block in each branch.
_HRNET = {
    f"stage{stage}": {
        "num_modules": 1,
        "num_branches": stage,
        "block_type": "BASIC",
        "num_blocks": (1,) * stage,
        "num_channels": (16, 32, 64, 128)[:stage],
        "fuse_method": "SUM",
    }
    for stage in (2, 3, 4)
}

CASES = (
    Case("resnet18"),
    Case("resnet50", slow=True),
    Case("resnext50_32x4d", slow=True),
    *_cases("resnet34 resnet101 resnet152 wide_resnet50_2 wide_resnet101_2", **_WIDE),
    *_cases("resnext101_32x8d resnext101_64x4d", **_WIDE),
    Case("mobilenet_v2", float64=True),
    Case("vgg_narrow", 32, 2, "small", "", "vgg11", float64=True, overrides={"hidden": 64}),
    Case("vgg11", size=32, slow=True),
    *_cases("vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn", **_WIDE),
    Case("alexnet_narrow", 64, 2, "small", "", "alexnet", float64=True, overrides={"hidden": 64}),
    Case("alexnet", slow=True),
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
    Case(
        "mobilenet_v3_shallow",
        network="mobilenet_v3_small",
        source="small",
        float64=True,
        overrides={
            "rows": (
                (3, 16, 16, True, False, 2),
                (3, 72, 24, False, False, 2),
                (5, 96, 40, True, True, 2),
                (5, 240, 40, True, True, 1),
            )
        },
    ),
    *_cases("mobilenet_v3_small mobilenet_v3_large", **_WIDE),
    Case("shufflenet_v2_x0_5", float64=True),
    *_cases("shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0", **_WIDE),
    Case("mnasnet0_5", float64=True),
    *_cases("mnasnet0_75 mnasnet1_0 mnasnet1_3", **_WIDE),
    Case(
        "efficientnet_b0_shallow",
        network="efficientnet_b0",
        source="small",
        float64=True,
        overrides={"depth_mult": 0.1},
    ),
    *(Case(f"efficientnet_b{n}", **_WIDE) for n in range(5)),
    *_cases("efficientnet_v2_s", **_WIDE),
    Case(
        "regnet_y_shallow",
        network="regnet_y_400mf",
        source="small",
        float64=True,
        overrides={"depth": 6, "w_a": 80.0},
    ),
    Case("regnet_y_400mf", **_WIDE),
    *_cases("regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf", **_WIDE),
    *_cases("regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf", **_WIDE),
    Case("convnext_tiny"),
    Case("googlenet", float64=True, arguments=_HEADLESS),
    Case("inception_v3", size=107, float64=True, arguments=_HEADLESS, slow=True),
    Case("cnn", **_SMALL, overrides={"spec": CNN}),
    Case("lenet5", **_SMALL | {"size": 28}, channels=1),
    Case("lenet5_cifar", **_SMALL, slow=True),
    Case("vgg11_bn_cifar", **_SMALL),
    Case("vgg16_bn_cifar", **_SMALL, slow=True),
    Case("nin_cifar", **_SMALL),
    Case("resnet20_cifar", size=32, source="small"),
    Case("resnet20_b_cifar", **_SMALL, network="resnet20_cifar", overrides={"shortcut": "B"}),
    Case("resnet18_cifar", size=32, source="small", slow=True),
    *_cases("resnet56_cifar resnet164_bottleneck_cifar", **_SMALL, slow=True),
    Case("resnext29_32x4d_cifar", **_SMALL, **_shallow((1, 1, 1), "depths")),
    Case("preresnet20_cifar", **_SMALL),
    Case("preact_resnet18_cifar", **_SMALL, slow=True),
    Case("wrn16_4_cifar", size=32, source="small", slow=True),
    Case(
        "pyramidnet_shallow_cifar",
        network="pyramidnet110_a48_cifar",
        reference="pyramidnet110_a48_cifar",
        arguments={"depth": 14},
        overrides={"blocks": 2},
        **_SMALL,
    ),
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
    *_cases("resnet26d resnet34d seresnet18 ecaresnet26t", **_TIMM, slow=True),
    Case("skresnet50d", **_TIMM, batch=4, **_shallow((1, 1, 1, 1))),
    *_cases("skresnet18 skresnet34", **_TIMM, slow=True),
    Case("resnest50d", **_TIMM, batch=4, **_shallow((1, 1, 1, 1))),
    *_cases("resnest14d resnest26d", **_TIMM, batch=4, slow=True),
    Case("nf_resnet50", **_TIMM, **_shallow((1, 1, 1, 1), "depths"), slow=True),
    *_cases("nf_resnet26", **_TIMM, slow=True),
    *_cases("convnextv2_nano", **_TIMM, slow=True),
    *_cases("fasternet_t1", **_TIMM, slow=True),
    Case("efficientnet_lite0", **_TIMM, slow=True),
    Case(
        "tf_efficientnet_lite0_shallow",
        network="tf_efficientnet_lite0",
        source="small",
        size=72,
        float64=True,
        overrides={"depth_mult": 0.1},
    ),
    Case("tf_efficientnet_lite0", **_TIMM, size=72, slow=True),
    *_cases("efficientnet_lite2 tf_efficientnet_lite4", **_TIMM, slow=True),
    Case("mobilenetv1_100", **_TIMM),
    *_cases("mobilenetv1_100h mobilenetv1_125", **_TIMM, slow=True),
    Case("mobilenetv4_conv_small", **_TIMM, batch=4),
    *_cases("mobilenetv4_conv_small_035 mobilenetv4_conv_small_050", **_TIMM, batch=4, slow=True),
    *_cases("mobilenetv4_conv_medium", **_TIMM, batch=4, slow=True),
    *_cases("repvgg_a0 repvgg_a1 repvgg_b0", **_TIMM, slow=True),
    *_cases("mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s4", **_TIMM, slow=True),
    Case("starnet_s1", **_TIMM, **_shallow((1, 1, 2, 1), "depths")),
    *_cases("starnet_s2 starnet_s4 starnet_s050 starnet_s150", **_TIMM, slow=True),
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
        **_TIMM,
        arguments={"levels": (1, 1, 1, 1, 2, 1)},
        overrides={"depths": (1, 1, 2, 1)},
    ),
    *_cases("dla46x_c dla102", **_TIMM, slow=True),
    Case("dpn68", **_TIMM, **_shallow((1, 2, 1, 1), "k_sec")),
    *_cases("dpn48b dpn92", **_TIMM, slow=True),
    Case(
        "hrnet_shallow",
        network="hrnet_w18_small",
        reference="hrnet_w18_small",
        arguments=_HRNET,
        overrides={"depth": 1},
        **_TIMM,
    ),
    *_cases("hrnet_w18_small hrnet_w18 hrnet_w18_ssld", **_TIMM, slow=True),
    Case(
        "ese_vovnet39b",
        **_TIMM,
        arguments={"block_per_stage": (1, 1, 2, 1), "layer_per_block": 2},
        overrides={"depths": (1, 1, 2, 1), "layers": 2},
    ),
    *_cases("vovnet39a ese_vovnet19b_dw eca_vovnet39b", **_TIMM, slow=True),
    # timm computes EvoNorm's deviation in float32, whatever the type.
    Case("ese_vovnet39b_evos", source="timm", slow=True),
    Case("cs3darknet_focus_s", **_TIMM),
    *_cases("cspresnet50 cspresnext50 cspdarknet53 cs3sedarknet_xdw", **_TIMM, slow=True),
    *_cases("cs3se_edgenet_x sedarknet21 darknetaa53", **_TIMM, slow=True),
    Case("ghostnet_100", **_TIMM),
    *_cases("ghostnet_050 ghostnet_130", **_TIMM, slow=True),
    Case("convmixer_1024_20_ks9_p14", size=70, **_TIMM, slow=True),
    Case("convmixer_768_32", size=35, **_TIMM, slow=True),
    *_cases("inception_v4 inception_resnet_v2", size=203, **_TIMM, slow=True),
    *_cases("resnetv2_18 resnetv2_34d", **_TIMM, slow=True),
    Case("allconv_c_cifar", **_SMALL | {"size": 16}),
    *_cases("allconv_a_cifar allconv_b_cifar", **_SMALL, slow=True),
    Case(
        "shakeshake_shallow_cifar",
        network="shakeshake26_2x32d_cifar",
        reference="shakeshake26_2x32d_cifar",
        arguments={"blocks": 1},
        overrides={"blocks": 1, "shake": False},
        **_SMALL | {"size": 16},
    ),
    Case("shakeshake26_2x32d_cifar", **_SMALL, overrides={"shake": False}, slow=True),
    Case("airbench94_cifar", **_SMALL),
    Case("legacy_xception", **_TIMM, slow=True),
)
