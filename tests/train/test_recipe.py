import json

import jax
import jax.numpy as jnp
import pytest

from cnnjax.errors import BadArgument
from cnnjax.train import RECIPES, Hyper, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name):
    recipe, hyper = RECIPES[name]
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Hyper.from_dict(json.loads(json.dumps(hyper.to_dict()))) == hyper
    assert hash(recipe) == hash(Recipe(**recipe.to_dict()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", True),
        ("loss", "sofmax"),
        ("optimiser", "sgdd"),
        ("schedule", "cosin"),
        ("warmup", 1.0),
        ("decay_all", 1),
        ("clip_norm", 0.0),
        ("crop_padding", -1),
        ("flip", "yes"),
        ("cutout", -2),
        ("ema_decay", float("nan")),
    ],
)
def test_recipe_refuses_and_names_the_field_and_the_value(field, value):
    with pytest.raises(BadArgument, match=f"{field}.*{value!r}.*allowed"):
        Recipe(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", -1),
        ("learning_rate", float("inf")),
        ("momentum", 1.0),
        ("weight_decay", "0.1"),
        ("label_smoothing", 1),
        ("momentum", True),
    ],
)
def test_hyper_refuses_and_names_the_field_and_the_value(field, value):
    with pytest.raises(BadArgument, match=f"{field}.*{value!r}.*allowed"):
        Hyper(**{field: value})


def test_a_name_that_is_no_field_suggests_the_nearest():
    with pytest.raises(BadArgument, match="did you mean 'epochs'"):
        Recipe.from_dict({"epoch": 3})


def test_hyper_is_a_pytree_that_may_hold_anything():
    assert jax.tree.leaves(jax.tree.map(lambda _: True, Hyper())) == [True] * 5
    stacked = Hyper(*[jnp.arange(3.0)] * 5)
    assert jax.vmap(lambda hyper: hyper.momentum * 2)(stacked).tolist() == [0, 2, 4]


def test_digits_are_not_flipped():
    assert not RECIPES["default"].recipe.flip
    assert not RECIPES["mnist"].recipe.flip
