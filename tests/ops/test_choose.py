"""The tables of forms: what the committed ones say, and how a table is read."""

import csv
from pathlib import Path

import jax.numpy as jnp
import pytest

from cnnjax.ops import choose
from cnnjax.ops.candidates import CANDIDATES, tile
from cnnjax.ops.choose import COLUMNS, DTYPES, FAMILIES, TABLES, Rule, read_rules, rules_for
from cnnjax.ops.geometry import Geometry, Layer
from cnnjax.runtime import PROCESSORS

UNIT, NONE = (1, 1), ((0, 0), (0, 0))
OPERATIONS = ("forward", "input_gradient", "kernel_gradient")
AVX2 = {
    version: read_rules(TABLES / "avx2.csv", version) for version in ((0, 10), (0, 11), (0, 12))
}


def chosen(rules, size, kernel, strides=UNIT, padding=((1, 1), (1, 1)), dilation=UNIT, groups=1):
    """The forms of the three operations of a layer."""
    layer = Layer(Geometry(strides, padding, dilation, groups), size, kernel[:2])
    channels, outputs = kernel[2] * groups, kernel[3]
    return tuple(
        choose.choose(operation, layer, channels, outputs, jnp.float32, rules)
        for operation in OPERATIONS
    )


def test_which_form_is_chosen_on_both_sides_of_every_threshold():
    rules = AVX2[0, 12]
    large, three = (16, 16), (3, 3)
    assert chosen(rules, large, (*three, 32, 32)) == ("winograd",) * 3
    assert chosen(rules, large, (*three, 31, 32)) == ("stock", "direct", "winograd")
    assert chosen(rules, large, (*three, 32, 31)) == ("stock", "direct", "winograd")
    assert chosen(rules, large, (*three, 16, 16)) == ("stock", "direct", "winograd")
    assert chosen(rules, large, (*three, 15, 16)) == ("stock", "direct", "patches")
    # One pixel needs 9 products without tiles.
    assert chosen(rules, (2, 2), (*three, 32, 32)) == ("winograd",) * 3
    assert chosen(rules, (1, 1), (*three, 32, 32)) == ("stock", "direct", "patches")
    for other in (
        {"strides": (2, 1)},
        {"dilation": (1, 2), "padding": ((1, 1), (2, 2))},
    ):
        assert chosen(rules, large, (*three, 32, 32), **other) == ("stock", "direct", "patches")
    assert chosen(rules, large, (5, 3, 32, 32)) == ("stock", "direct", "patches")
    assert chosen(rules, large, (1, 1, 8, 8), padding=NONE) == ("pointwise",) * 3
    assert chosen(rules, large, (1, 1, 8, 8), strides=(2, 2), padding=NONE) == ("pointwise",) * 3
    assert chosen(rules, large, (1, 1, 8, 8)) == ("stock", "direct", "patches")
    assert chosen(rules, large, (1, 1, 4, 8), padding=NONE, groups=2) == ("patches",) * 3
    assert chosen(rules, large, (*three, 1, 8), groups=8) == ("depthwise",) * 3
    assert chosen(rules, large, (*three, 1, 16), groups=8) == ("depthwise",) * 3
    assert chosen(rules, large, (*three, 1, 8)) == ("stock", "direct", "patches")
    assert chosen(rules, large, (*three, 2, 16), groups=8) == ("patches", "patches", "winograd")
    assert chosen(rules, large, (*three, 8, 32), groups=4) == ("winograd",) * 3


def test_older_versions_of_jax_multiply_batches_at_half_the_rate():
    narrow, wide = (3, 3, 63, 64), (3, 3, 64, 64)
    assert chosen(AVX2[0, 11], (8, 8), narrow) == ("stock", "direct", "winograd")
    assert chosen(AVX2[0, 11], (8, 8), wide) == ("winograd",) * 3
    assert chosen(AVX2[0, 10], (8, 8), (3, 3, 512, 512)) == ("stock", "direct", "winograd")


def test_tiles_are_those_of_fewest_products():
    assert [tile(size) for size in ((1, 1), (2, 2), (3, 3), (4, 4), (16, 16))] == [0, 2, 4, 4, 4]


def test_a_processor_of_which_nothing_was_measured_has_the_stock_operation():
    for kind in ("aarch64", "other"):
        assert not rules_for(kind)
    for kernel, groups in (((3, 3, 64, 64), 1), ((1, 1, 8, 8), 1), ((3, 3, 1, 8), 8)):
        assert chosen({}, (8, 8), kernel, groups=groups) == ("stock",) * 3


def test_every_x86_has_a_form_for_every_group():
    groups = {(o, f, d) for o in OPERATIONS for f in FAMILIES for d in DTYPES}
    for kind in PROCESSORS[:3]:
        assert set(rules_for(kind)) == groups


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.csv")), ids=lambda path: path.stem)
def test_the_committed_tables_are_of_forms_that_there_are(path):
    assert path.stem in PROCESSORS
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        assert tuple(row) == COLUMNS
        assert row["form"] in CANDIDATES[row["operation"]]
        assert row["family"] in FAMILIES
        assert row["dtype"] in DTYPES
        assert int(row["width"]) >= 0
        assert int(row["pixels"]) >= 0


TABLE = """\
operation,family,dtype,jax,width,pixels,form,over_best,worst,layers
forward,3x3,float32,0.10,64,0,winograd,,,
forward,3x3,float32,0.12,32,100,winograd,,,
forward,3x3,float32,0.12,0,0,patches,,,
forward,dense,float32,0.12,0,0,patches,,,
"""


def test_a_table_is_read_for_a_version_of_jax(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    three, dense = ("forward", "3x3", "float32"), ("forward", "dense", "float32")
    read = lambda *version: read_rules(tmp_path / "t.csv", version)
    assert read(0, 9, 9) == {}
    assert read(0, 10, 2) == read(0, 11, 9) == {three: (Rule("winograd", 64, 0),)}
    both = (Rule("winograd", 32, 100), Rule("patches"))
    assert read(0, 12, 0) == read(1, 0, 0) == {three: both, dense: (Rule("patches"),)}


def test_bounds_are_inclusive_and_the_first_rule_that_holds_decides():
    rules = {("forward", "3x3", "float32"): (Rule("winograd", 16, 64), Rule("patches", 8))}
    first = lambda size, channels: chosen(rules, size, (3, 3, channels, 99))[0]
    assert first((8, 8), 16) == "winograd"
    assert first((8, 8), 15) == first((9, 7), 16) == first((8, 8), 8) == "patches"
    assert first((8, 8), 7) == "stock"


def test_a_wider_processor_takes_the_rows_of_the_narrower_where_it_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(choose, "TABLES", tmp_path)
    head = TABLE.splitlines()[0]
    (tmp_path / "avx2.csv").write_text(TABLE.replace("0.12", "0.10"))
    (tmp_path / "avx512.csv").write_text(f"{head}\nforward,dense,float32,0.10,0,0,stock,1,1,1\n")
    rules = rules_for.__wrapped__("amx")
    assert rules["forward", "dense", "float32"] == (Rule("stock"),)
    assert rules["forward", "3x3", "float32"][0].form == "winograd"
    assert rules_for.__wrapped__("avx2")["forward", "dense", "float32"] == (Rule("patches"),)
    assert rules_for.__wrapped__("aarch64") == {}


def test_other_dtypes_are_taken_for_float32():
    rules = {("forward", "3x3", "bfloat16"): (Rule("patches"),)}
    layer = Layer(Geometry(UNIT, ((1, 1), (1, 1)), UNIT, 1), (8, 8), (3, 3))
    form = lambda dtype: choose.choose("forward", layer, 8, 8, dtype, rules)
    assert form(jnp.bfloat16) == "patches"
    assert form(jnp.float32) == form(jnp.float16) == "stock"


def test_tables_go_with_the_package():
    assert TABLES.parent == Path(choose.__file__).parent
