"""What a network is made of, against what its reference is made of, operation by operation.

`reference_settings.csv.gz` is written by `tests/golden/make_settings.py`: every convolution with
its widths, stride, dilation, groups and padding, every norm with epsilon and momentum, every
activation, dropout and stochastic depth that a training step of the reference runs, with how often.
Nothing is computed, so that whole networks can be compared, with their rates of dropout on.
`reference_initial.csv.gz`, of `make_initial.py`, has how the parameters of some of them start.
"""

import csv
import dataclasses
import gzip
import itertools
import re
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from cnnjax.models import MODELS, facts_of
from cnnjax.weights.names import names_of, publisher, source_of
from cnnjax.weights.torch_names import torch_names, torch_shapes
from tests.models.golden import CASES, GOLDEN
from tests.models.record import RATES, record
from tests.models.small import rows_of
from tests.models.test_networks import CHEAPEST, count

with gzip.open(Path(__file__).parent / "reference_settings.csv.gz", "rt") as lines:
    SETTINGS: dict[str, Counter] = {}
    for line in csv.DictReader(lines):
        SETTINGS.setdefault(line["network"], Counter())[line["what"]] = int(line["times"])

with gzip.open(Path(__file__).parent / "reference_initial.csv.gz", "rt") as lines:
    INITIAL = {
        (line.pop("network"), line.pop("parameter")): tuple(map(float, line.values()))
        for line in csv.DictReader(lines)
    }

# Beside the cheapest of each class: rows whose blocks, norms or stems no other row has.
SPECIAL = """
cs3darknet_m cspresnext50 darknet17 dla34 dla60_res2net ecaresnet26t efficientnet_b5
efficientnet_cc_b0_4e efficientnet_lite0 efficientnet_v2_s ese_vovnet39b fbnetv3_b ghostnetv2_100
hardcorenas_a hgnet_tiny hrnet_w18_ssld lcnet_035 legacy_senet154 legacy_seresnet50 mixnet_s
mobilenet_edgetpu_v2_s mobilenet_v2 mobilenet_v3_large mobilenetv3_rw mobilenetv4_conv_aa_medium
mobileone_s0 mobileone_s4 nf_resnet26 nfnet_l0 preact_resnet18_cifar regnet_x_400mf regnetv_040
regnetz_005 repvgg_d2se res2net50_14w_8s res2net50_26w_4s resnest50d resnet164_bottleneck_cifar
resnet50 resnet50_gn resnetaa50 resnetblur18 resnetv2_152x2_bit resnetv2_50t resnext26ts
resnext29_32x4d_cifar resnext50_32x4d seresnet50 seresnext101_64x4d skresnet50 tinynet_e
tresnet_v2_l vgg11_bn xception41p
"""
# Deeper ones have no kind of row of their own, and cost half of the time of all.
MOST_OPERATIONS = 400
DEFAULT = (
    CHEAPEST
    | set(SPECIAL.split())
    | {name for name, lines in SETTINGS.items() if lines.total() <= MOST_OPERATIONS}
)

# Rates that the papers state, of networks whose reference here is without them: Lin et al. 2014,
# section 3.2; Springenberg et al. 2015, section 3.
PAPERS = {
    "nin_cifar": {"dropout 0.5": 2},
    **{f"allconv_{kind}_cifar": {"dropout 0.2": 1, "dropout 0.5": 2} for kind in "abc"},
}
# What is said in other operations there, as expressions: a shortcut's stride as a pooling of one
# pixel, ReLU before two branches for each of them, padding in front of two layers, a maximum over
# all pixels, kernels of each image's own, and blurring as a depthwise convolution.
IN_OTHER_WORDS = {
    "shakeshake": "conv 1x1.*|avg_pool 1x1.*|relu",
    "nasnet|pnasnet": "avg_pool 1x1.*",
    "hgnetv2": "conv 2x2.*",
    "(tf_)?efficientnet_cc": "conv .*",
    "airbench": "max_pool.*",
    # timm drops the only path of a block without a shortcut, and its pooling has no linear layer.
    "regnetz_(?!0)": "drop_path .*",
    "resnet.*_clip_gap": "linear .*",
    # The rate of torchvision's is that of every layer, of timm's that of the classifier.
    "densenet": "dropout .*",
    # With published weights alone timm gives it the epsilon that ours has always.
    "fbnetc_100": "batch_norm .*",
    ".*blur|tresnet": r"conv 3x3 (\d+)>\1 stride 2x2 .* groups \1 .*",
}


def compared(name, lines):
    """Lines without those that the two sides put in other words."""
    words = ["usual .*", *(w for n, w in IN_OTHER_WORDS.items() if re.match(n, name))]
    if "drop_path_rate" not in {f.name for f in dataclasses.fields(MODELS[name].family)}:
        words.append("drop_path.*")
    leave, kept = re.compile("|".join(f"(?:{each})" for each in words)), Counter()
    for what, times in lines.items():
        if what.startswith("drop_path"):  # PyTorch's are rounded to float32
            what = f"drop_path {float(what.split()[1]):.4f}"
        if not leave.fullmatch(what):
            kept[what] += times
    return kept


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in DEFAULT else pytest.mark.slow) for n in MODELS]
)
def test_network_is_made_of_what_its_reference_is_made_of(name):
    network, facts = MODELS[name], facts_of(name)
    fields = {f.name: f.default for f in dataclasses.fields(network.family)} | dict(network.fields)
    # timm's rates are 0 unless they are given, torchvision's are part of a network.
    rates = {f: rate for f, rate in RATES.items() if f in fields}
    rates = rates if facts.reference == "timm" else {}
    lines, (logits, stages), variables, initial = record(name, **rates)
    if name in SETTINGS:
        wanted = SETTINGS[name] | Counter(PAPERS.get(name, {}))
        assert compared(name, lines) == compared(name, wanted)

    # Parameters are float32, and all else as wide as `dtype`, which is float64 here.
    assert count(variables["params"]) == facts.parameters
    assert count(variables.get("batch_stats", {})) == facts.batch_statistics
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
    assert {leaf.dtype for leaf in jax.tree.leaves(stages)} == {jnp.dtype("float64")}
    assert logits.dtype == "float64"
    check_stages(name, {stage: values.shape for stage, values in stages.items()})
    check_names(name, set(torch_shapes(variables)))
    check_initial(name, initial)


def check_stages(name, shapes):
    """Each stage is half as fine as the one before, rounded up; images of 100 pixels end at 1/32.

    VGG's are taken before they are pooled; SelecSLS halves once more. A stage may be of another
    width only, as in mobilenetv4; the stem may be as fine as the first.
    """
    (halved,) = {row.halved for row in rows_of(name)}
    if halved is None:
        return
    size = facts_of(name).input_size
    half = {-(-size // 2**times): times for times in range(7)}
    stem = half[shapes["stem"][1]]
    numbered = sorted(
        (int(stage.removeprefix("stage")), half[shape[1]])
        for stage, shape in shapes.items()
        if stage.startswith("stage")
    )
    times = [time for _, time in numbered]
    assert times[0] - stem in ((0, 1, 2) if name.startswith("shuffle") else (0, 1)), shapes
    assert all(after - before in (0, 1) for before, after in itertools.pairwise(times)), shapes
    if size > 100:
        assert times[-1] == halved, shapes


# Of these a part goes to another block, and gets another name, where there are fewer of them.
ELSEWHERE = re.compile("cnn$|dla|ecaresnetlight|(ese_)?vovnet|hgnet|inception_v4|rexnet")


def check_names(name, ours):
    """Compare the names of all parameters and statistics with those in the goldens' states."""
    for case in CASES:
        if (case.network or case.name) != name or not set(case.overrides) <= {"depths", "blocks"}:
            continue
        names = np.load(GOLDEN / f"{case.name}.npz")["names"].tobytes().decode().split("\n")
        wanted = {line.split()[0] for line in names}
        source = source_of(name, wanted, ours)
        there = names_of(source, name, ours)
        assert there == names_of(publisher(name) or source, name, ours), "another publisher's"
        found = set(there.values())
        if not case.overrides:
            assert found == wanted
        elif not ELSEWHERE.match(name):
            assert found >= wanted, sorted(wanted - found)


def check_initial(name, initial):
    """Compare how parameters start, by name, with how the reference's started once.

    Constants are compared all, of drawn ones the last layer's and one of every kind of the others.
    """
    names = torch_names(unflatten_dict(dict.fromkeys(initial, 0)))
    there = {parameter for network, parameter in INITIAL if network == name}
    published = names_of(source_of(name, there, names.values()), name, names.values())
    names = {path: published[ours] for path, ours in names.items()}
    assert there <= set(names.values()), "parameters of other names"
    key, last, kinds = jax.random.key(0, impl="rbg"), list(initial)[-2:], set()
    for path, (init, shape) in initial.items():
        if names[path] not in there:
            continue
        size, mean, deviation, largest = INITIAL[name, names[path]]
        assert np.prod(shape) == size, path
        few = np.asarray(init(key, (2,) * len(shape), jnp.float32))
        if deviation == 0 or (few == few.flat[0]).all():
            np.testing.assert_allclose([few.std(), few.mean()], [deviation, mean], rtol=1e-4)
            continue
        kind = (path[-1], len(shape), shape[:-2] == (1, 1), shape[-2:-1] == (1,))
        if path not in last and (size < 500 or size > 2e5 or kind in kinds):
            continue
        kinds.add(kind)
        drawn = np.asarray(init(key, shape, jnp.float32), np.float64)
        # Both are samples: of a normal distribution the deviation of n is off by 1 / sqrt(2 n).
        assert abs(drawn.std() / deviation - 1) < 6 / np.sqrt(size), path
        assert abs(drawn.mean() - mean) < 7 * deviation / np.sqrt(size), path
        # 1.7 deviations if it is uniform, more than 2.5 of many that are normal.
        if size > 500:
            assert (np.abs(drawn).max() < 2 * drawn.std()) == (largest < 2 * deviation), path


def test_additive_attention_begins_with_nothing():
    """Cao et al. 2019, arXiv:1904.11492, and timm: the last layer of its transform is zero."""
    for name in ("gcresnext26ts", "gcresnet50t"):
        *_, initial = record(name, drop_path_rate=RATES["drop_path_rate"])
        last = [init for path, (init, _) in initial.items() if "mlp_add.fc2" in path]
        assert last, name
        for init in last:
            assert not init(jax.random.key(0), (1, 1, 2, 3), jnp.float32).any(), name


def test_rates_are_those_of_the_reference_where_it_is_not_told_any():
    wanted, got = {}, {}
    for name, network in MODELS.items():
        if facts_of(name).reference != "timm" or name not in SETTINGS:
            continue
        usual = [what.split()[1:] for what in SETTINGS[name] if what.startswith("usual ")]
        wanted[name] = {f"{kind}_rate": float(rate) for kind, rate in usual}
        fields = {f.name: f.default for f in dataclasses.fields(network.family)}
        fields |= dict(network.fields)
        rates = {field: fields.get(field, 0.0) for field in RATES}
        got[name] = {field: rate for field, rate in rates.items() if rate}
    assert got == wanted


def test_nearly_every_network_has_a_reference_as_a_whole():
    assert len(set(MODELS) & set(SETTINGS)) > 0.97 * len(MODELS)
