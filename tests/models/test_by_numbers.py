"""Every network has a golden, or is in `by_numbers.csv`: it differs from one that has by numbers.

See `make_by_numbers.py`, which writes that table.
"""

import functools

import pytest
from flax import linen as nn

from cnnjax import nn as parts
from cnnjax.models import build
from tests.models import make_by_numbers

TABLE = make_by_numbers.read()


def test_every_network_has_a_golden_or_stands_by_one():
    assert sorted(TABLE) == make_by_numbers.without_golden(), "run tests/models/make_by_numbers.py"


@pytest.mark.parametrize("network", TABLE)
def test_a_network_in_the_table_has_no_field_of_a_kind_that_its_case_has_not(network):
    assert make_by_numbers.same_fields(network, TABLE[network])


@pytest.mark.slow
@pytest.mark.parametrize("network", TABLE)
def test_a_network_in_the_table_runs_nothing_that_its_case_does_not(network):
    assert make_by_numbers.same_operations(network, TABLE[network])


SAME = [
    ("vgg11", {"hidden": 64}),
    ("resnet18", {"depths": (1, 2, 3, 4)}),
    ("resnet18", {"num_classes": 7}),
    ("vgg11", {"dropout_rate": 0.1}),
]
OTHER = [
    ("vgg11", "vgg11_bn", {}),
    ("resnet20_cifar", "resnet20_cifar", {"shortcut": "B"}),
    ("lenet5", "lenet5", {"act": nn.relu}),
    ("lenet5", "lenet5_cifar", {}),
    ("efficientnet_lite0", "efficientnet_lite0", {"epsilon": 1e-3}),
    ("efficientnet_lite0", "efficientnet_lite0", {"padding": "SAME"}),
    ("mobilenet_v2", "mobilenetv4_conv_small", {}),
]


@pytest.mark.parametrize(("name", "fields"), SAME)
def test_numbers_make_no_kind(name, fields):
    assert make_by_numbers.kinds(build(name, **fields)) == make_by_numbers.kinds(build(name))


@pytest.mark.parametrize(("name", "other", "fields"), OTHER)
def test_all_else_does(name, other, fields):
    usual = make_by_numbers.kinds(build(name))
    assert make_by_numbers.kinds(build(other, **fields)) - usual


def test_of_a_module_that_is_half_made_what_is_given_counts():
    attention = functools.partial(parts.SqueezeExcite, ratio=0.25)
    usual, other = attention, functools.partial(attention, ratio=0.5)
    assert make_by_numbers.kinds(usual) == make_by_numbers.kinds(other)
    assert make_by_numbers.kinds(functools.partial(parts.EfficientChannelAttention, 3)) != usual


def test_a_row_counts_as_a_whole():
    rows = ((3, True), (5, False, 0))
    assert make_by_numbers.kinds(((7, True),)) <= make_by_numbers.kinds(rows)
    assert make_by_numbers.kinds((((7, True),), rows)) == make_by_numbers.kinds(rows)
    for row in ((3, False), (5, True, 0), (5, False, 1)):
        assert not make_by_numbers.kinds((row,)) <= make_by_numbers.kinds(rows)


def test_operations_are_told_apart_by_what_is_no_number_of_channels():
    line = "conv 3x3 64>{} stride {} dilation 1x1 groups {} padding {}"
    usual = line.format(64, "1x1", 1, "1,1,1,1")
    of = lambda *lines: make_by_numbers.operations(lines)
    same = "conv 3x3 8>16 stride 1x1 dilation 1x1 groups 1 padding 0,1,0,1"
    assert of(usual, same) == of(usual)
    for other in (
        usual.replace("3x3", "5x5"),
        line.format(64, "2x2", 1, "1,1,1,1"),
        line.format(64, "1x1", 2, "1,1,1,1"),
        line.format(64, "1x1", 64, "1,1,1,1"),
        line.format(64, "1x1", 1, "0,0,0,0"),
        "relu",
    ):
        assert len(of(usual, other)) == 2
    norm = "batch_norm {} epsilon {} momentum 0.1"
    assert of(norm.format(8, "1e-05"), norm.format(16, "1e-05")) == of(norm.format(8, "1e-05"))
    assert len(of(norm.format(8, "1e-05"), norm.format(8, "0.001"))) == 2
    assert of("linear 8>10", "linear 16>10", "dropout 0.2", "drop_path 0.1") == {"linear"}
