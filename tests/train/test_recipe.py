import json
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.errors import BadArgument
from cnnjax.train import RECIPES, Hyper, Recipe

NAN = float("nan")


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name):
    recipe, hyper = RECIPES[name]
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Hyper.from_dict(json.loads(json.dumps(hyper.to_dict()))) == hyper
    assert hash(recipe) == hash(Recipe(**recipe.to_dict()))


# For every field what lies just inside of its range, and just outside.
RANGES = {
    "epochs": ([1, 1_000_000], [0, -1, 1_000_001, 10**10, 1.5, "3", True, None]),
    "batch_size": ([1, 1_000_000], [0, 1_000_001, 10**400, 2.0, True]),
    "crop_padding": ([0, 1_000_000], [-1, 1_000_001, 0.5, True, None]),
    "cutout": ([0, 1_000_000], [-1, 1_000_001, "8", False]),
    "loss": (["softmax", "one_vs_all_l2"], ["sofmax", ["softmax"], None, 3]),
    "optimiser": (["sgd", "lion"], ["sgdd", {"sgd"}, None]),
    "schedule": (["cosine", "step"], ["cosin", ("cosine",), None]),
    "warmup": ([0, 0.0, 0.999, np.float32(0.5)], [1.0, 1 - 1e-9, -1e-9, NAN, True, "0.1", None]),
    "ema_decay": ([0, 0.9999], [1, -0.1, NAN, math.inf, False, None]),
    "decay_all": ([True, False], [1, 0, "yes", None]),
    "flip": ([True, False], [1, "yes", None]),
    "clip_norm": ([None, 1e-30, 5, 3e38], [0, 0.0, -1, 1e-60, 1e39, math.inf, NAN, True, "1"]),
    "head": ([(), ("a",), ["a", "b"]], ["a", ("a", 1), None, {"a"}]),
}
SCALARS = {
    "learning_rate": ([0, 0.0, 3e38, np.float64(0.1)], [-1e-9, 1e39, 10**400, math.inf, NAN, True]),
    "momentum": ([0, 0.999], [1.0, 1 - 1e-9, -0.1, NAN, False, None]),
    "weight_decay": ([0, 3e38], [-1e-9, 1e39, "0.1", NAN, None]),
    "label_smoothing": ([0, 0.999], [1, 1 - 1e-9, -0.1, NAN, [0.1]]),
    "backbone_rate": ([0, 1, 10.0], [-1e-9, 1e39, NAN, None]),
}


def cases(ranges, part):
    return [(field, value) for field, both in ranges.items() for value in both[part]]


def test_the_tables_have_all_fields():
    assert set(RANGES) == set(Recipe().to_dict())
    assert set(SCALARS) == set(Hyper().to_dict())


@pytest.mark.parametrize(("field", "value"), cases(RANGES, 0))
def test_recipe_takes_what_is_in_range(field, value):
    found = getattr(Recipe(**{field: value}), field)
    assert found == (tuple(value) if field == "head" else value)


@pytest.mark.parametrize(("field", "value"), cases(SCALARS, 0))
def test_hyper_takes_what_is_in_range(field, value):
    assert Hyper(**{field: value}).to_dict()[field] == value


@pytest.mark.parametrize(("field", "value"), cases(RANGES, 1))
def test_recipe_refuses_and_names_the_field_and_the_value(field, value):
    with pytest.raises(BadArgument, match=f"^{field}: .*{re.escape(repr(value))}.*allowed"):
        Recipe(**{field: value})


@pytest.mark.parametrize(("field", "value"), cases(SCALARS, 1))
def test_hyper_refuses_and_names_the_field_and_the_value(field, value):
    with pytest.raises(BadArgument, match=f"^{field}: .*{re.escape(repr(value))}.*allowed"):
        Hyper(**{field: value})


def test_a_name_that_is_no_field_suggests_the_nearest():
    with pytest.raises(BadArgument, match=r"recipe: .*did you mean 'epochs'"):
        Recipe.from_dict({"epoch": 3})
    with pytest.raises(BadArgument, match=r"hyper: .*did you mean 'momentum'"):
        Hyper.from_dict({"momentun": 3})


def test_hyper_is_a_pytree_that_may_hold_anything():
    assert jax.tree.leaves(jax.tree.map(lambda _: True, Hyper())) == [True] * 5
    stacked = Hyper(*[jnp.arange(3.0)] * 5)
    assert jax.vmap(lambda hyper: hyper.momentum * 2)(stacked).tolist() == [0, 2, 4]
    numbered = jax.tree.unflatten(jax.tree.structure(Hyper()), range(5))
    assert numbered.to_dict() == {
        "learning_rate": 0,
        "momentum": 1,
        "weight_decay": 2,
        "label_smoothing": 3,
        "backbone_rate": 4,
    }


def test_digits_are_not_flipped_and_objects_are():
    assert [RECIPES[name].recipe.flip for name in ("default", "mnist", "cifar10")] == [0, 0, 1]


def test_a_name_and_a_default_mean_what_they_meant():
    """Recorded commands name a recipe, and users leave fields out: changing one changes runs."""
    assert Recipe().to_dict() == {
        "epochs": 10,
        "batch_size": 128,
        "loss": "softmax",
        "optimiser": "sgd",
        "schedule": "onecycle",
        "warmup": 0.2,
        "decay_all": False,
        "clip_norm": None,
        "crop_padding": 0,
        "flip": False,
        "cutout": 0,
        "ema_decay": 0.0,
        "head": [],
    }
    assert tuple(Hyper().to_dict().values()) == (0.1, 0.9, 5e-4, 0.0, 1.0)
    assert {
        "default": (Recipe(8, 64, crop_padding=2), Hyper(0.05, label_smoothing=0.1)),
        "mnist": (Recipe(15, crop_padding=2), Hyper()),
        "cifar10": (Recipe(30, crop_padding=4, flip=True, cutout=8), Hyper()),
    } == RECIPES


def test_the_published_run_on_mnist_used_the_recipe_of_its_name():
    file = Path(__file__).parents[2] / "experiments" / "results" / "mnist_lenet5" / "seed0.json"
    published, (recipe, hyper) = json.loads(file.read_text()), RECIPES["mnist"]
    assert published["recipe"] == {k: recipe.to_dict()[k] for k in published["recipe"]}
    assert published["hyper"] == {k: hyper.to_dict()[k] for k in published["hyper"]}
