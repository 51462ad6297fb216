"""`build`: what it refuses, in which words, and its networks as parts of other modules."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from cnnjax import ops
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS, build, facts_of
from cnnjax.models.fields import check_fields
from tests.models.small import SMALL
from tests.models.test_networks import CHEAPEST

NAN, HUGE = float("nan"), 10**400


def fields_of(name):
    return {f.name: f for f in dataclasses.fields(MODELS[name].family)}


def having(*fields):
    """The cheapest network of every class that has these fields, and its value of the first."""
    for name in sorted(CHEAPEST):
        own = fields_of(name)
        if set(fields) <= set(own):
            yield name, MODELS[name].fields.get(fields[0], own[fields[0]].default)


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        ("num_classes", (0, -1, True, "10", 2.0, NAN, None, (10,), 2**31, HUGE), "integer"),
        ("dtype", ("int8", "floaty", 3, None, jnp.complex64), "float type"),
        ("remat", (1, "yes", None), "True or False"),
        ("dropout_rate", (-0.1, 1, 1.5, "0.5", None, True), r"\[0, 1\)|number"),
        ("drop_path_rate", (-1, 1.0, NAN, float("inf"), HUGE), r"\[0, 1\)|number"),
        ("width_mult", (0, -1.0, NAN, "1", HUGE), "above 0|number"),
        ("momentum", (1, -0.1), r"\[0, 1\)"),
        ("epsilon", (0, -1e-5, NAN), "above 0|number"),
        ("width", (0, -8, 8.0, "8"), "integer"),
        ("depth", (0, 2.5, HUGE), "integer"),
        ("act", (3, "gellu"), "function|one of elu|text"),
        ("block", (None, "BasicBlock"), "function or class"),
    ],
)
def test_a_field_of_another_type_or_out_of_range_is_refused(field, wrong, told):
    names = list(having(field))
    assert names
    for name, _ in names:
        for value in wrong:
            with pytest.raises(BadArgument, match=told) as error:
                build(name, **{field: value})
            assert str(error.value).startswith(f"{name}: {field} is ")


def test_depths_of_another_length_or_kind_are_refused():
    for name, usual in having("depths"):
        for value in (3, "1111", (1.5,) * len(usual), (-1,) * len(usual), (True,) * len(usual)):
            with pytest.raises(BadArgument, match=f"{name}: depths is .*; it must be"):
                build(name, depths=value)
    for name, usual in having("depths", "widths"):
        if len(usual) == len(MODELS[name].fields.get("widths", usual)):
            with pytest.raises(BadArgument, match="entries; it must have"):
                build(name, depths=(*usual, 1))
    for name in ("vgg11", "vgg11_bn_cifar", "rexnet_100", "dla34", "lcnetv2_small"):
        with pytest.raises(BadArgument, match=r"depths is .*; it must be a tuple of"):
            build(name, depths=(1, 1))


@pytest.mark.parametrize(
    ("name", "field", "told"),
    [
        ("efficientnet_lite0", "padding", "'SAME' or None"),
        ("resnet20_cifar", "shortcut", "'A' or 'B'"),
        ("hgnetv2_b0", "version", "1 or 2"),
    ],
)
def test_a_choice_names_what_there_is(name, field, told):
    for value in ("SAMEE", 7, True):
        with pytest.raises(BadArgument, match=f"{field} is {value!r}; it must be {told}"):
            build(name, **{field: value})


def test_what_the_rows_say_and_what_json_or_numpy_give_is_taken():
    for name, row in MODELS.items():
        check_fields(name, row.family, row.fields, dict(row.fields))
    usual = build("convnext_tiny", depths=(1, 1, 2, 1), drop_path_rate=0.0)
    depths = json.loads("[1, 1, 2, 1]")
    assert build("convnext_tiny", depths=depths, drop_path_rate=np.float32(0)) == usual
    assert build("convnext_tiny", depths=list(np.array(depths)), drop_path_rate=0) == usual
    assert hash(build("convnext_tiny", depths=depths)) is not None
    assert type(build("lenet5", num_classes=np.int64(7)).num_classes) is int


class Two(nn.Module):
    """The same network twice, and a third time under a name."""

    network: str
    settings: dict

    @nn.compact
    def __call__(self, images, *, train):
        logits = [build(self.network, **self.settings)(images, train=train) for _ in range(2)]
        left = build(self.network, name="left", **self.settings)
        return sum(logits) + left(images, train=train)


@pytest.mark.parametrize("name", ["resnet8_cifar", "cnn", "lenet5"])
def test_networks_are_parts_of_other_modules(name):
    images = jnp.ones(SMALL[name].images().shape)
    with ops.stock():
        alone = jax.eval_shape(
            lambda x: build(name, num_classes=3).init(jax.random.key(0), x, train=False), images
        )
        model = Two(name, {"num_classes": 3})
        logits, variables = jax.eval_shape(
            lambda x: model.init_with_output(jax.random.key(0), x, train=True), images
        )
    assert logits.shape == (2, 3)
    kind = type(build(name)).__name__
    assert set(variables["params"]) == {f"{kind}_0", f"{kind}_1", "left"}
    for part in variables["params"].values():
        assert jax.tree.map(jnp.shape, part) == jax.tree.map(jnp.shape, alone["params"])


def test_a_module_is_named_as_linen_names_it():
    assert build("resnet18").name is None
    assert build("resnet18", name="left").name == "left"
    with pytest.raises(BadArgument, match="resnet18: name is 3; it must be text"):
        build("resnet18", name=3)


# One block in all: what grows from the first block to the last has no last to grow to.
@pytest.mark.parametrize("name", [name for name, _ in having("drop_path_rate")])
def test_one_block_is_a_network(name):
    row, own = MODELS[name], fields_of(name)
    depths = row.fields.get("depths", own["depths"].default if "depths" in own else None)
    if depths is not None:
        few = {"depths": (1, *[0] * (len(depths) - 1))}
    elif "growths" in own:
        few = {"growths": row.fields["growths"][:1], "depth": 1}
    elif "entry" in own:
        few = {"middle": 1}
    elif "groups" in own:
        few = {"groups": ((False, 1, 3, 1, 16, 1),)}
    elif "stages" in own:
        few = {"stages": tuple(stage[:1] for stage in row.fields["stages"][:1])}
    else:
        few = {"line": dataclasses.replace(row.fields["line"], depth=1)}
    model = build(name, num_classes=3, drop_path_rate=0.2, **few)
    images = jax.ShapeDtypeStruct((2, 64, 64, facts_of(name).channels), jnp.float32)
    keys = {stream: jax.random.key(0) for stream in ("params", "dropout")}
    with ops.stock():
        logits, _ = jax.eval_shape(lambda x: model.init_with_output(keys, x, train=True), images)
    assert logits.shape == (2, 3)


def test_a_batch_norm_is_there_where_it_is_asked_for():
    """Of the class itself: its rows all say which."""
    from cnnjax.models.vgg import VGG

    images = np.zeros((1, 32, 32, 3), np.float32)
    for asked in ({}, {"batch_norm": True}):
        model = VGG((1, 1, 1, 1, 1), hidden=8, **asked)
        init = lambda key, model=model: model.init(key, images, train=False)
        assert ("batch_stats" in jax.eval_shape(init, jax.random.key(0))) == bool(asked)


@pytest.mark.parametrize("depths", [(1, 1, 1, 1, "2"), (1, 1, 1.5, 1, 1), (1, 1, 1, 1)])
def test_one_wrong_part_of_a_tuple_is_enough(depths):
    with pytest.raises(BadArgument, match="depths"):
        build("vgg11", depths=depths)
