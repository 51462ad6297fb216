"""The table of networks against what its references print of themselves.

`reference_facts.csv` has the figures of torchvision's `Weights.meta`, of timm's `create_model` on
the meta device, of timm's `results-imagenet.csv` and `benchmark-infer-*.csv`, and of the papers and
repositories of the networks for small images (their published accuracies, joined by ";"). A field
is empty where nothing is printed, or something else is counted: blur filters among the statistics,
auxiliary heads, CLIP's pooling by attention.
"""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from cnnjax.errors import BadArgument
from cnnjax.models import MODELS, facts, facts_of
from tests.models import make_facts

with open(Path(__file__).parent / "reference_facts.csv", newline="") as lines:
    FACTS = {row.pop("network"): row for row in csv.DictReader(lines)}

# Of these timm counts the fused form; of ecaresnext50t it printed another network's figure.
OTHERS = ("repvgg", "mobileone", "ghostnetv3", "repghostnet", "repvit", "ecaresnext50t_32x4d")


def stated(column):
    return {name: row[column] for name, row in FACTS.items() if row[column]}


def test_the_table_is_what_its_script_makes_of_the_references(tmp_path):
    made = tmp_path / "facts.csv"
    make_facts.write(made, make_facts.COLUMNS, make_facts.table())
    assert made.read_bytes() == make_facts.TABLE.read_bytes()


def test_the_script_refuses_a_count_that_is_not_the_references(monkeypatch):
    read = make_facts.read
    monkeypatch.setattr(make_facts, "read", lambda name: one_off(read(name)))
    with pytest.raises(SystemExit, match=r"resnet18: 11689513 parameters, not 11689512"):
        make_facts.table()


def one_off(rows):
    row = rows.get("resnet18", {})
    counted = "multiply_adds" in row and "pixels" not in row
    return {**rows, "resnet18": {**row, "parameters": "11689513"}} if counted else rows


def test_every_network_has_a_row_and_every_row_a_network():
    assert sorted(MODELS) == list(facts.read_facts())
    for name in MODELS:
        found = facts_of(name)
        assert min(found.parameters, found.multiply_adds) > 0, name
        assert (found.accuracy is None) == (found.accuracy_source is None), name
    with pytest.raises(BadArgument, match="resnet18"):
        facts_of("resnet81")


def test_importing_reads_no_table():
    code = "import cnnjax, cnnjax.weights; from cnnjax.models import facts"
    code += "; assert facts.read_facts.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True)


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
    assert {name: getattr(facts_of(name), field) for name in wanted} == wanted


def test_accuracies_and_weights_are_the_published_ones():
    accuracies = stated("accuracy")
    assert len(accuracies) > 500
    for name, published in accuracies.items():
        ours = facts_of(name).accuracy
        if ours is not None:
            allowed = [float(value) for value in published.split(";")]
            assert min(abs(ours - value) for value in allowed) < 0.006, name
    without = [n for n in accuracies if facts_of(n).accuracy is None]
    assert len(without) < 15, without
    for name, weights in stated("weights").items():
        assert facts_of(name).weights == weights, name


def test_multiply_adds_are_the_references_as_near_as_they_count_alike():
    """To every digit in the slow run; here torchvision's to its decimals, timm's to a quarter."""
    for name, giga in stated("multiply_adds").items():
        ours = facts_of(name).multiply_adds / 1e9
        if facts_of(name).reference == "torchvision":
            decimals = len(giga.partition(".")[2])
            assert f"{ours:.{decimals}f}" == giga, name
        elif not name.startswith(OTHERS):
            assert 0.75 < ours / float(giga) < 1.08, name
