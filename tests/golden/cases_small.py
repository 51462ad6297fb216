"""Networks for small images: the reference is `torch_small.py` or `torch_residual.py`."""

from dataclasses import replace
from typing import Any

from case import Case, named, shallow

_SMALL: dict[str, Any] = {"source": "small", "float64": True, "size": 32}
# Where there are many channels, a quarter of the pixels is enough.
_HALF: dict[str, Any] = {"source": "small", "float64": True, "size": 16, "slow": True}
CNN = "conv8k5s2-bn-relu-maxpool3s2-dwconv-silu-avgpool2-fc16-tanh"


def _plain(blocks: int) -> Case:
    name, depths = f"resnet{6 * blocks + 2}_cifar", (blocks,) * 3
    settings = {"reference": "resnet_cifar", "arguments": {"depths": depths}}
    return Case(name, **_HALF, **settings)


def _wide(layers: int, depths: tuple[int, ...]) -> Case:
    arguments = {"depths": depths, "stem": 64, "option": "B", "bottleneck": layers >= 50}
    return Case(f"resnet{layers}_cifar", **_HALF, reference="resnet_cifar", arguments=arguments)


def _wrn(depth: int, widen: int) -> Case:
    arguments = {"depth": depth, "widen": widen}
    return Case(f"wrn{depth}_{widen}_cifar", **_HALF, reference="wrn_cifar", arguments=arguments)


def _preresnet(depth: int) -> Case:
    """A wide residual network of width 1; its depth counts two layers more."""
    arguments = {"depth": depth + 2, "widen": 1}
    return Case(f"preresnet{depth}_cifar", **_HALF, reference="wrn_cifar", arguments=arguments)


def _pyramid(alpha: int) -> Case:
    """Two blocks a stage instead of eighteen, as wide at the end."""
    return Case(
        f"pyramidnet110_a{alpha}_cifar",
        reference="pyramidnet_cifar",
        arguments={"depth": 14, "alpha": alpha},
        overrides={"blocks": 2},
        **_HALF,
    )


def _dense(depth: int, growth: int, compact: bool) -> Case:
    return Case(
        f"densenet{'_bc' if compact else ''}{depth}_{growth}_cifar",
        reference="densenet_cifar",
        arguments={"depth": depth, "growth": growth, "compact": compact},
        **_HALF,
    )


CASES = (
    Case("cnn", **_SMALL, overrides={"spec": CNN}),
    Case("lenet5", **_SMALL | {"size": 28}, channels=1),
    Case("lenet5_cifar", **_SMALL, slow=True),
    Case("vgg11_bn_cifar", **_SMALL),
    *named("vgg13_bn_cifar vgg16_bn_cifar vgg19_bn_cifar", **_SMALL, slow=True),
    Case("nin_cifar", **_SMALL),
    replace(_plain(3), size=32, float64=False, slow=False),
    Case(
        "resnet20_b_cifar",
        network="resnet20_cifar",
        reference="resnet_cifar",
        arguments={"depths": (3, 3, 3), "option": "B"},
        overrides={"shortcut": "B"},
        **_SMALL,
    ),
    Case(
        "resnet164_bottleneck_cifar",
        reference="resnet_cifar",
        arguments={"depths": (18, 18, 18), "option": "B", "bottleneck": True},
        **_SMALL,
        slow=True,
    ),
    replace(_plain(9), size=32),
    *(_plain(blocks) for blocks in (1, 2, 5, 7, 18)),
    # Four blocks a stage instead of 200.
    Case(
        "resnet1202_cifar",
        reference="resnet_cifar",
        **shallow((4, 4, 4), "depths"),
        **_HALF,
    ),
    replace(_wide(18, (2, 2, 2, 2)), size=32, float64=False),
    _wide(34, (3, 4, 6, 3)),
    _wide(50, (3, 4, 6, 3)),
    _wide(101, (3, 4, 23, 3)),
    _wide(152, (3, 8, 36, 3)),
    Case("resnext29_32x4d_cifar", **_SMALL, **shallow((1, 1, 1), "depths"), slow=True),
    Case("resnext29_16x64d_cifar", **_HALF),
    replace(_preresnet(20), size=32, slow=False),
    *(_preresnet(depth) for depth in (56, 110)),
    Case("preact_resnet18_cifar", **_SMALL, slow=True),
    replace(_wrn(16, 4), size=32, float64=False),
    *(_wrn(16, widen) for widen in (8, 10)),
    _wrn(22, 8),
    *(_wrn(28, widen) for widen in (2, 10)),
    *(_wrn(40, widen) for widen in (2, 4, 8, 10)),
    Case(
        "pyramidnet_shallow_cifar",
        network="pyramidnet110_a48_cifar",
        reference="pyramidnet_cifar",
        arguments={"depth": 14, "alpha": 48},
        overrides={"blocks": 2},
        **_SMALL,
        slow="step",
    ),
    *(_pyramid(alpha) for alpha in (84, 270)),
    Case(
        "densenet_bc_shallow_cifar",
        network="densenet_bc40_12_cifar",
        reference="densenet_cifar",
        arguments={"depth": 16, "growth": 12, "compact": True},
        overrides={"depth": 2},
        **_SMALL,
    ),
    *(replace(_dense(40, 12, compact), size=32) for compact in (True, False)),
    _dense(100, 12, False),
    *(_dense(*row, True) for row in ((40, 36), (40, 48), (100, 12))),
    # Six layers a block instead of 31 and 41.
    *(
        replace(
            _dense(depth, growth, True),
            arguments={"depth": 40, "growth": growth, "compact": True},
            overrides={"depth": 6},
        )
        for depth, growth in ((190, 40), (250, 24))
    ),
    Case("mobilenet_v2_cifar", **_SMALL, slow=True),
    Case("efficientnet_b0_cifar", **_SMALL, slow=True),
    Case("allconv_c_cifar", **_SMALL | {"size": 16}),
    *named("allconv_a_cifar allconv_b_cifar", **_SMALL, slow=True),
    Case(
        "shakeshake_shallow_cifar",
        network="shakeshake26_2x32d_cifar",
        reference="shakeshake26_2x32d_cifar",
        arguments={"blocks": 1},
        overrides={"blocks": 1, "shake": False},
        **_SMALL | {"size": 16},
    ),
    Case("shakeshake26_2x32d_cifar", **_SMALL, overrides={"shake": False}, slow=True),
    Case("shakeshake26_2x96d_cifar", **_HALF, overrides={"shake": False}),
    Case("airbench94_cifar", **_SMALL),
)
