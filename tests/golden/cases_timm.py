"""timm's networks."""

import itertools
from dataclasses import replace
from typing import Any

from case import Case, Slow, named, shallow

_TIMM: dict[str, Any] = {"source": "timm", "float64": True}
_SLOW: dict[str, Any] = {**_TIMM, "slow": True}


def _cut(names: str, *depths: Any, **settings: Any) -> tuple[Case, ...]:
    """Return slow cases as wide as the networks, of few blocks: two in one of the stages."""
    return named(names, **_SLOW, **settings, **shallow(*depths))


def _configured(names: str, reference: str, depths: tuple[int, ...]) -> tuple[Case, ...]:
    """The same for networks whose functions do not take the depths."""
    return tuple(
        Case(
            name,
            source="small",
            reference=reference,
            arguments={"variant": name, "depths": depths},
            overrides={"depths": depths},
            float64=True,
            slow=True,
        )
        for name in names.split()
    )


def _regnet(names: str, line: tuple[int, int, float, float, int]) -> tuple[Case, ...]:
    """Return slow cases of another line: depth, w_0, w_a, w_m and the width of groups."""
    theirs = dict(zip(("depth", "w0", "wa", "wm", "group_size"), line, strict=True))
    ours = ("depth", "w_0", "w_a", "w_m", "group_width")
    overrides = {f"line.{field}": value for field, value in zip(ours, line, strict=True)}
    return named(names, **_SLOW, arguments=theirs, overrides=overrides)


def _blocks(
    network: str, blocks: int, *, name: str = "", slow: Slow = True, size: int = 64, **settings: Any
) -> Case:
    """Return a case with at most so many blocks in a stage; `settings` go to the reference."""
    return Case(
        name or network,
        network=network,
        source="small",
        reference="blocks_shallow",
        size=size,
        arguments={"variant": network, "blocks": blocks, **settings},
        overrides={"blocks": blocks},
        float64=True,
        slow=slow,
    )


def _hrnet(width: int) -> dict[str, Any]:
    """Return the reference's settings of one residual block in each branch."""
    return {
        f"stage{stage}": {
            "num_modules": 1,
            "num_branches": stage,
            "block_type": "BASIC",
            "num_blocks": (1,) * stage,
            "num_channels": tuple(width * 2**branch for branch in range(stage)),
            "fuse_method": "SUM",
        }
        for stage in (2, 3, 4)
    }


def _wide_hrnet(width: int, kind: str = "") -> Case:
    overrides = {"modules": (1, 1, 1), "depth": 1}
    return Case(f"hrnet_w{width}{kind}", arguments=_hrnet(width), overrides=overrides, **_SLOW)


def _narrow_convnext(name: str, width: int = 16, **more: tuple[str, Any]) -> Case:
    """Return a slow case of few, narrow blocks; `more`: field=(name there, value)."""
    depths, widths = (1, 2, 1, 1), tuple(width * 2**stage for stage in range(4))
    theirs = {key: value for key, value in more.values()}
    ours = {field: value for field, (_, value) in more.items()}
    return Case(
        name,
        arguments={"depths": depths, "dims": widths, **theirs},
        overrides={"depths": depths, "widths": widths, **ours},
        **_SLOW,
    )


def _hgnet(network: str, name: str, slow: Slow = True, affine: bool = False) -> Case:
    depths, layers = (1, 2, 1, 1), 2
    return Case(
        name,
        network=network,
        source="small",
        reference="hgnet_shallow",
        arguments={"variant": network, "depths": depths, "layers": layers, "affine": affine},
        overrides={"depths": depths, "layers": layers},
        float64=True,
        slow=slow,
    )


def _dla(names: str, depths: tuple[int, ...]) -> tuple[Case, ...]:
    return named(
        names, **_SLOW, arguments={"levels": (1, 1, *depths)}, overrides={"depths": depths}
    )


def _vovnet(names: str, depths: tuple[int, ...]) -> tuple[Case, ...]:
    return named(names, **_SLOW, **shallow(depths, "block_per_stage"))


def _ghost(network: str, version: str, first: int = 0) -> Case:
    """Three blocks; by default the last of them alone, which has a stride and squeeze-excite.

    An odd number of pixels is halved and doubled by the attention, which the third block has.
    """
    groups = (((3, 16, 16, False, 1),) * 2, ((5, 24, 24, True, 2),))[first:]
    return Case(
        f"{network}_block" if first else f"{network}_shallow",
        network=network,
        size=34,
        source="small",
        reference="ghost_shallow",
        arguments={"version": version, "groups": groups},
        overrides={"groups": groups},
        float64=True,
        slow=not first,
    )


def _xception(name: str, preact: bool, **settings: Any) -> Case:
    """Return a case of one block of stride 1."""
    widths = (64, 128, 256, 728, 728)
    blocks: list[dict[str, Any]] = [
        {"in_chs": inputs, "out_chs": width, "stride": 2 if width != inputs else 1}
        for inputs, width in itertools.pairwise(widths)
    ]
    last: dict[str, Any] = {"in_chs": 1024, "out_chs": (1536, 1536, 2048), "stride": 1}
    last |= {"no_skip": True} if preact else {"no_skip": True, "start_with_relu": False}
    blocks += [{"in_chs": 728, "out_chs": (728, 1024, 1024), "stride": 2}, last]
    return Case(name, arguments={"block_cfg": blocks}, overrides={"middle": 1}, **settings)


_1211 = (1, 2, 1, 1)

RESIDUAL = (
    Case("resnet18d", source="timm", slow=True),
    *named("resnet26d resnet34d resnet50d seresnet18 seresnet34 ecaresnet26t", **_SLOW),
    Case("seresnet50", source="timm", **shallow(_1211), slow=True),
    Case("ecaresnet50d", source="timm", **shallow(_1211), slow="step"),
    *_cut("resnet101d resnet152d resnet200d seresnet101 seresnet152 ecaresnet101d", _1211),
    *_cut("seresnext50_32x4d seresnext101_32x4d seresnext101_64x4d", _1211),
    *_cut("seresnext101_32x8d seresnext101d_32x8d seresnextaa101d_32x8d ecaresnet50t", _1211),
    *_cut("ecaresnext26t_32x4d", _1211),
    *named("resnet10t resnet14t resnet26t resnetaa34d resnetblur18 seresnext26t_32x4d", **_SLOW),
    *_cut("resnet26 resnet50t resnet50c resnet50s resnet50_gn resnext50d_32x4d", _1211),
    *_cut("resnetaa50 resnetaa50d resnetblur50 resnetblur50d resnetrs50", _1211),
    *_cut("senet154 seresnetaa50d ecaresnetlight", _1211),
    *_cut("legacy_seresnet50 legacy_seresnext50_32x4d legacy_senet154", _1211),
    Case(
        "legacy_seresnet18_shallow",
        network="legacy_seresnet18",
        reference="legacy_seresnet18",
        **_TIMM,
        **shallow((1, 1, 1, 1)),
    ),
    Case("skresnet50d", **_TIMM, batch=4, **shallow((1, 1, 1, 1)), slow="step"),
    *named("skresnet18 skresnet34", **_SLOW),
    *_cut("skresnet50 skresnext50_32x4d", (1, 1, 1, 1), batch=4),
    Case("resnest50d", **_TIMM, batch=4, **shallow((1, 1, 1, 1))),
    *named("resnest14d resnest26d", **_SLOW, batch=4),
    *_cut("resnest50d_4s2x40d resnest50d_1s4x24d resnest101e", (1, 1, 2, 1), batch=4),
    *_cut("resnest200e resnest269e", (1, 1, 2, 1), batch=4),
    Case("res2net50_26w_4s", source="timm", **shallow(_1211), slow="step"),
    *_cut("res2net50_26w_6s res2net50_26w_8s res2net50_48w_2s res2net50_14w_8s", _1211),
    *_cut("res2next50 res2net50d res2net101_26w_4s res2net101d", _1211),
    Case("resnetv2_50", source="timm", **shallow(_1211)),
    Case("resnetv2_50t", source="timm", **shallow(_1211), slow=True),
    *named("resnetv2_18 resnetv2_18d resnetv2_34 resnetv2_34d resnetv2_50d", **_SLOW),
    *_cut("resnetv2_50d_gn resnetv2_101 resnetv2_101d resnetv2_152 resnetv2_152d", _1211),
    *named("resnetv2_50x1_bit", **_SLOW),
    *_configured("resnetv2_101x1_bit resnetv2_50x3_bit resnetv2_101x3_bit", "bit_shallow", _1211),
    *_configured("resnetv2_152x2_bit resnetv2_152x4_bit", "bit_shallow", (1, 1, 2, 1)),
    Case("nf_resnet50", **_SLOW, **shallow((1, 1, 1, 1), "depths")),
    *named("nf_resnet26", **_SLOW),
    *_cut("nf_resnet101", (1, 1, 2, 1), "depths"),
    *_cut("nf_seresnet50 nf_ecaresnet50 nfnet_l0", _1211, "depths"),
    *named("nf_regnet_b0", **_SLOW),
    Case("nfnet_f0", source="timm", **shallow(_1211, "depths")),
    *named("eca_nfnet_l0 dm_nfnet_f0", source="timm", **shallow(_1211, "depths"), slow=True),
    # The larger ones are deeper: a second block in another stage of each.
    *_cut("nfnet_f1 dm_nfnet_f1 eca_nfnet_l1", (2, 1, 1, 1), "depths"),
    *_cut("nfnet_f2 dm_nfnet_f2 eca_nfnet_l2", (1, 1, 2, 1), "depths"),
    *_cut("nfnet_f3 dm_nfnet_f3 eca_nfnet_l3", (1, 1, 1, 2), "depths"),
    *_cut("nfnet_f4 dm_nfnet_f4", (2, 1, 2, 1), "depths"),
    *_cut("nfnet_f5 dm_nfnet_f5", (1, 2, 1, 2), "depths"),
    *_cut("nfnet_f6 dm_nfnet_f6", (2, 1, 1, 2), "depths"),
    *_cut("nfnet_f7", (1, 3, 1, 1), "depths"),
    Case(
        "regnety_shallow",
        network="regnety_002",
        reference="regnety_002",
        arguments={"depth": 4, "w0": 48, "wa": 28.8, "wm": 1.5},
        overrides={"line.depth": 4, "line.w_0": 48, "line.w_a": 28.8, "line.w_m": 1.5},
        **_TIMM,
        slow="step",
    ),
    *named("regnetx_002", **_SLOW),
    # Widths 48, 104, 208 and 440.
    *_regnet("regnetv_040 regnetv_064 regnetz_005 regnetz_040", (6, 48, 80.0, 2.09, 8)),
    # The first stage is one group wide, in two blocks.
    *_regnet("regnetx_080 regnety_320", (10, 48, 10.0, 1.5, 48)),
    Case(
        "gernet_s_shallow",
        network="gernet_s",
        source="small",
        reference="byob_shallow",
        arguments={"variant": "gernet_s", "depths": (1, 1, 1, 1, 1)},
        overrides={"depths": (1, 1, 1, 1, 1)},
        float64=True,
        slow="step",
    ),
    *_configured("resnet32ts seresnet33ts eca_resnext26ts gcresnext26ts", "byob_shallow", _1211),
    *_configured("resnet33ts eca_resnet33ts gcresnet33ts", "byob_shallow", _1211),
    *_configured("resnext26ts seresnext26ts", "byob_shallow", _1211),
    *_configured("gcresnet50t resnet51q resnet61q", "byob_shallow", _1211),
    *_configured("regnetz_b16 regnetz_d8 resnet50_clip_gap", "byob_shallow", _1211),
    *_configured("resnet50x4_clip_gap", "byob_shallow", (1, 1, 2, 1)),
)

MOBILE = (
    Case("efficientnet_lite0", **_SLOW),
    _blocks("tf_efficientnet_lite0", 1, name="tf_efficientnet_lite0_shallow", slow=False, size=72),
    Case("tf_efficientnet_lite0", **_SLOW, size=72),
    *named("efficientnet_lite1 efficientnet_lite2 efficientnet_lite3", **_SLOW),
    *named("efficientnet_lite4 tf_efficientnet_lite4", **_SLOW),
    *named("tf_efficientnet_lite1 tf_efficientnet_lite2 tf_efficientnet_lite3", **_SLOW, size=72),
    _blocks("tf_efficientnet_b0", 2, size=72),
    _blocks("efficientnet_es", 2),
    _blocks("tf_efficientnet_es", 2, size=72),
    _blocks("tf_efficientnetv2_b0", 2, size=72),
    _blocks("efficientnetv2_s", 2),
    _blocks("efficientnetv2_rw_s", 2),
    _blocks("tinynet_e", 2),
    _blocks("mobilenetv2_100", 2),
    _blocks("mnasnet_100", 2),
    _blocks("semnasnet_100", 2),
    _blocks("mnasnet_small", 2),
    _blocks("spnasnet_100", 2),
    _blocks("fbnetc_100", 4, bn_eps=1e-3),
    _blocks("mobilenetv3_large_100", 4),
    _blocks("mobilenetv3_small_100", 2),
    _blocks("mobilenetv3_rw", 2),
    _blocks("tf_mobilenetv3_large_100", 4, size=72),
    _blocks("tf_mobilenetv3_large_minimal_100", 2, size=72),
    _blocks("tf_mobilenetv3_small_100", 2, size=72),
    _blocks("tf_mobilenetv3_small_minimal_100", 2, size=72),
    _blocks("lcnet_050", 2),
    _blocks("fbnetv3_b", 2),
    _blocks("mobilenet_edgetpu_100", 2),
    _blocks("mobilenet_edgetpu_v2_xs", 2),
    _blocks("mobilenet_edgetpu_v2_s", 2),
    _blocks("mobilenet_edgetpu_v2_m", 2),
    _blocks("mobilenet_edgetpu_v2_l", 4),
    _blocks("mixnet_s", 2),
    _blocks("mixnet_m", 2),
    _blocks("tf_mixnet_s", 2, size=72),
    _blocks("hardcorenas_a", 2),
    _blocks("hardcorenas_c", 4),
    Case("mobilenetv1_100", **_TIMM, slow="step"),
    *named("mobilenetv1_100h mobilenetv1_125", **_SLOW),
    Case("mobilenetv4_conv_small", **_TIMM, batch=4, slow="step"),
    *named("mobilenetv4_conv_small_035 mobilenetv4_conv_small_050", **_SLOW, batch=4),
    *named("mobilenetv4_conv_medium mobilenetv4_conv_large", **_SLOW, batch=4),
    *named("mobilenetv4_conv_aa_medium mobilenetv4_conv_blur_medium", **_SLOW, batch=4),
    _blocks("efficientnet_cc_b0_4e", 1, slow="step"),
    *(_blocks(f"efficientnet_cc_{each}_8e", 2) for each in ("b0", "b1")),
    _blocks("tf_efficientnet_cc_b0_4e", 2, size=72),
    Case(
        "rexnet_100",
        **_TIMM,
        arguments={"depth_mult": 0.1},
        overrides={"depths": (1, 1, 1, 1, 1, 1)},
        slow="step",
    ),
    _ghost("ghostnet_100", "v1", 1),
    *named("ghostnet_050 ghostnet_100 ghostnet_130 ghostnetv2_130 ghostnetv3_050", **_SLOW),
    _ghost("ghostnetv2_100", "v2"),
    _ghost("ghostnetv3_100", "v3"),
    replace(_ghost("ghostnetv3_100", "v3", 1), slow="step"),
    *(_ghost("repghostnet_100", "rep", first) for first in (0, 1)),
    *named("repghostnet_050", **_SLOW),
    *named("repvgg_a0 repvgg_a1 repvgg_b0 repvgg_a2", **_SLOW),
    *_configured("repvgg_b1 repvgg_b1g4 repvgg_b2 repvgg_b2g4", "byob_shallow", _1211),
    *_configured("repvgg_b3 repvgg_b3g4 repvgg_d2se", "byob_shallow", _1211),
    Case(
        "repvgg_a0_shallow",
        network="repvgg_a0",
        source="small",
        reference="byob_shallow",
        arguments={"variant": "repvgg_a0", "depths": _1211},
        overrides={"depths": _1211},
        float64=True,
    ),
    Case("repvit_m0_9", **_TIMM, **shallow((2, 1, 1, 1), "depth"), slow="step"),
    *_cut("repvit_m1", (2, 1, 1, 1), "depth"),
    *named("mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3 mobileone_s4", **_SLOW),
    Case(
        "mobileone_s0_shallow",
        network="mobileone_s0",
        source="small",
        reference="byob_shallow",
        arguments={"variant": "mobileone_s0", "depths": _1211},
        overrides={"depths": _1211},
        float64=True,
        slow="step",
    ),
)

NEWER = (
    Case("convnextv2_atto", source="timm", slow="step"),
    *named("convnextv2_femto convnextv2_pico convnextv2_nano convnextv2_tiny", **_SLOW),
    *_cut("convnextv2_small convnextv2_base convnextv2_large convnextv2_huge", _1211, "depths"),
    *_cut("convnext_zepto_rms convnext_zepto_rms_ols convnext_atto", _1211, "depths"),
    *_cut("convnext_atto_ols convnext_atto_rms convnext_nano_ols", _1211, "depths"),
    _narrow_convnext("convnext_tiny_hnf"),
    _narrow_convnext("convnext_large_mlp", **{"end.hidden": ("head_hidden_size", 96)}),
    _narrow_convnext("convnext_xxlarge"),
    Case("fasternet_t0", source="timm"),
    *named("fasternet_t1 fasternet_t2", **_SLOW),
    *_cut("fasternet_s fasternet_m fasternet_l", _1211, "depths"),
    Case("mambaout_femto", size=32, **_TIMM, **shallow(_1211, "depths"), slow="step"),
    *named(
        "mambaout_base_wide_rw mambaout_small_rw",
        size=32,
        arguments={"depths": _1211, "dims": (16, 32, 64, 96)},
        overrides={"depths": _1211, "widths": (16, 32, 64, 96)},
        **_SLOW,
    ),
    Case("inception_next_atto", source="timm", slow="step"),
    *named("inception_next_tiny", **_SLOW),
    *_cut("inception_next_small inception_next_base", _1211, "depths"),
    Case("starnet_s1", **_TIMM, **shallow((1, 1, 2, 1), "depths")),
    *named("starnet_s2 starnet_s3 starnet_s4", **_SLOW),
    *named("starnet_s050 starnet_s100 starnet_s150", **_SLOW),
    Case(
        "convmixer_shallow",
        size=70,
        source="small",
        network="convmixer_1536_20",
        overrides={"width": 96, "depth": 2},
        float64=True,
    ),
    *named("convmixer_1024_20_ks9_p14", size=70, **_SLOW),
    # At 35 pixels its input gradient is 9e-7 off where logits and statistics agree: presumably a
    # ReLU within rounding of its kink.
    *named("convmixer_768_32", size=42, **_SLOW),
    *named("convmixer_1536_20", size=35, **_SLOW),
)

OLDER = (
    *named("inception_v4 inception_resnet_v2", size=203, **_SLOW),
    Case(
        "inception_v4_shallow",
        size=107,
        source="small",
        network="inception_v4",
        overrides={"depths": (1, 1, 1)},
        float64=True,
        slow=True,
    ),
    Case(
        "inception_resnet_v2_shallow",
        size=107,
        source="small",
        network="inception_resnet_v2",
        overrides={"depths": (1, 1, 0)},
        float64=True,
        slow="step",
    ),
    Case("legacy_xception", **_SLOW),
    Case(
        "legacy_xception_shallow",
        source="small",
        network="legacy_xception",
        overrides={"middle": 1},
        float64=True,
        slow="step",
    ),
    _xception("xception41", False, **_TIMM, slow="step"),
    _xception("xception41p", True, **_SLOW),
    _xception("xception65p", True, **_SLOW),
    Case(
        "nasnet_shallow",
        source="small",
        network="nasnetalarge",
        overrides={"width": 16, "stem_width": 16, "depths": ()},
        float64=True,
        slow="step",
    ),
    Case(
        "pnasnet_shallow",
        source="small",
        network="pnasnet5large",
        overrides={"depths": (0,)},
        float64=True,
        slow="step",
    ),
    *named("nasnetalarge", **_SLOW),
    Case(
        "pnasnet_cells",
        source="small",
        network="pnasnet5large",
        reference="pnasnet_shallow",
        arguments={"cells": 2},
        overrides={"depths": (2,)},
        float64=True,
        slow=True,
    ),
    Case(
        "dla34",
        **_TIMM,
        arguments={"levels": (1, 1, 1, 1, 2, 1)},
        overrides={"depths": (1, 1, 2, 1)},
    ),
    *named("dla46x_c dla46_c dla60x_c dla60 dla60x dla102", **_SLOW),
    *_dla("dla60_res2net dla60_res2next", (1, 2, 1, 1)),
    Case(
        "densenetblur121d_shallow",
        network="densenetblur121d",
        reference="densenetblur121d",
        **_TIMM,
        **shallow((2, 2, 2, 2), "block_config"),
        slow=True,
    ),
    *named("densenetblur121d", **_SLOW),
    *_cut("densenet264d", (2, 3, 2, 2), "block_config"),
    Case(
        "rdnet_shallow",
        network="rdnet_tiny",
        reference="rdnet_tiny",
        **_TIMM,
        arguments={
            "growth_rates": (16, 24, 16, 24),
            "num_blocks_list": (1,) * 4,
            "is_downsample_block": (None, True, True, True),
            "block_type": ("Block", "Block", "BlockESE", "BlockESE"),
            "num_init_features": 16,
        },
        overrides={"growths": (16, 24, 16, 24), "strided": (1, 2, 3), "depth": 1, "stem_width": 16},
        slow="step",
    ),
    *named("rdnet_tiny", **_SLOW),
    *(
        Case(
            f"rdnet_{size}",
            **_SLOW,
            arguments={"num_blocks_list": (1,) * stages},
            overrides={"depth": 1},
        )
        for size, stages in (("small", 11), ("base", 11), ("large", 12))
    ),
    Case(
        "tresnet_shallow",
        network="tresnet_m",
        reference="tresnet_m",
        **_TIMM,
        arguments={"layers": (1, 1, 2, 1), "width_factor": 0.25},
        overrides={"depths": (1, 1, 2, 1), "width": 16},
        slow="step",
    ),
    *_cut("tresnet_m tresnet_l tresnet_xl tresnet_v2_l", _1211),
    Case(
        "cspnext_shallow",
        network="cspnext_tiny",
        reference="cspnext_tiny",
        **_TIMM,
        arguments={"widen_factor": 0.125},
        overrides={"width": 16},
        slow="step",
    ),
    *named("cspnext_tiny cspnext_s cspnext_m", **_SLOW),
    *(
        Case(
            f"cspnext_{size}",
            **_SLOW,
            arguments={"depths": _1211, "deepen_factor": 1.0},
            overrides={"depths": _1211},
        )
        for size in "lx"
    ),
    Case(
        "lcnetv2_shallow",
        network="lcnetv2_small",
        reference="lcnetv2_small",
        **_TIMM,
        arguments={"depths": (1, 1, 2, 2), "scale": 0.25},
        overrides={"depths": (1, 1, 2, 2), "width_mult": 0.25},
        slow="step",
    ),
    *named("lcnetv2_small lcnetv2_base lcnetv2_large", **_SLOW),
    *_dla("dla102x dla102x2 dla169", (1, 1, 2, 1)),
    Case("dpn68", **_TIMM, **shallow(_1211, "k_sec"), slow="step"),
    *named("dpn48b dpn92", **_SLOW),
    *_cut("dpn68b dpn98 dpn131 dpn107", _1211, "k_sec"),
    Case(
        "hrnet_shallow",
        network="hrnet_w18_small",
        reference="hrnet_w18_small",
        arguments=_hrnet(16),
        overrides={"depth": 1},
        **_TIMM,
        slow="step",
    ),
    *named("hrnet_w18_small hrnet_w18_small_v2 hrnet_w18 hrnet_w18_ssld", **_SLOW),
    *(_wide_hrnet(width) for width in (30, 32, 40, 44, 48, 64)),
    _wide_hrnet(48, "_ssld"),
    Case(
        "ese_vovnet39b",
        **_TIMM,
        arguments={"block_per_stage": (1, 1, 2, 1), "layer_per_block": 2},
        overrides={"depths": (1, 1, 2, 1), "layers": 2},
        slow="step",
    ),
    *named("vovnet39a ese_vovnet19b_dw eca_vovnet39b", **_SLOW),
    *named("ese_vovnet19b_slim_dw ese_vovnet19b_slim", **_SLOW),
    *_vovnet("vovnet57a ese_vovnet57b ese_vovnet99b", (1, 1, 2, 1)),
    # timm computes EvoNorm's deviation in float32, whatever the type.
    Case("ese_vovnet39b_evos", source="timm", slow=True),
    Case(
        "selecsls_shallow",
        network="selecsls42b",
        source="small",
        overrides={
            "depths": (2,),
            "inner": (64,),
            "widths": (128,),
            "head": ((96, 3, 2), (64, 3, 1)),
        },
        float64=True,
    ),
    *named("selecsls42b selecsls60", **_SLOW),
    _hgnet("hgnetv2_b0", "hgnetv2_b0_shallow", slow="step", affine=True),
    _hgnet("hgnet_tiny", "hgnet_tiny"),
    _hgnet("hgnetv2_b4", "hgnetv2_b4"),
    Case("cs3darknet_focus_s", **_TIMM, slow="step"),
    *named("cspresnet50 cspresnext50 cspdarknet53 cs3sedarknet_xdw", **_SLOW),
    *named("cs3se_edgenet_x sedarknet21 darknetaa53", **_SLOW),
    *named("cspresnet50d cspresnet50w darknet17 darknet21 cs3darknet_s cs3darknet_m", **_SLOW),
    *_configured("cs3darknet_l cs3darknet_x cs3darknet_focus_m", "csp_shallow", _1211),
    *_configured("cs3darknet_focus_l cs3darknet_focus_x cs3sedarknet_l", "csp_shallow", _1211),
    *_configured("cs3sedarknet_x cs3edgenet_x", "csp_shallow", _1211),
    *_configured("darknet53", "csp_shallow", (1, 1, 2, 1, 1)),
)

CASES = (*RESIDUAL, *MOBILE, *NEWER, *OLDER)
