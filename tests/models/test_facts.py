"""The table of networks against what its references print of themselves.

`reference_facts.csv` has the figures of torchvision's `Weights.meta`, of timm's `create_model` on
the meta device, of timm's `results-imagenet.csv` and `benchmark-infer-*.csv`, and of the papers and
repositories of the networks for small images (their published accuracies, joined by ";"). A field
is empty where nothing is printed, or something else is counted: blur filters among the statistics,
auxiliary heads, CLIP's pooling by attention.
"""

import csv
from pathlib import Path

import pytest

from cnnjax.models import MODELS

with open(Path(__file__).parent / "reference_facts.csv", newline="") as lines:
    FACTS = {row.pop("network"): row for row in csv.DictReader(lines)}

# Of these timm counts the fused form; of ecaresnext50t it printed another network's figure.
OTHERS = ("repvgg", "mobileone", "ghostnetv3", "repghostnet", "repvit", "ecaresnext50t_32x4d")


def stated(column):
    return {name: row[column] for name, row in FACTS.items() if row[column]}


def test_nearly_every_network_is_in_the_references():
    assert len(set(MODELS) & set(FACTS)) > 0.98 * len(MODELS)
    assert set(FACTS) <= set(MODELS)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("parameters", "parameters"),
        ("batch_statistics", "batch_statistics"),
        ("pixels", "input_size"),
    ],
)
def test_counts_and_sizes_are_the_references(column, field):
    wanted = {name: int(value) for name, value in stated(column).items()}
    assert len(wanted) > 580
    assert {name: getattr(MODELS[name], field) for name in wanted} == wanted


def test_accuracies_and_weights_are_the_published_ones():
    accuracies = stated("accuracy")
    assert len(accuracies) > 500
    for name, published in accuracies.items():
        ours = MODELS[name].accuracy
        if ours is not None:
            allowed = [float(value) for value in published.split(";")]
            assert min(abs(ours - value) for value in allowed) < 0.006, name
    without = [n for n in accuracies if MODELS[n].accuracy is None]
    assert len(without) < 15, without
    for name, weights in stated("weights").items():
        assert MODELS[name].weights == weights, name


def test_multiply_adds_are_the_references_as_near_as_they_count_alike():
    """To every digit in the slow run; here torchvision's to three decimals, timm's to a quarter."""
    for name, giga in stated("multiply_adds").items():
        ours = MODELS[name].multiply_adds
        if MODELS[name].reference == "torchvision":
            assert abs(ours - float(giga)) <= 0.00051, name
        elif not name.startswith(OTHERS):
            assert 0.75 < ours / float(giga) < 1.08, name
