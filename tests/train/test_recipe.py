import dataclasses
import functools
import json
import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.data.augment import (
    ColorJitter,
    CutMix,
    Cutout,
    GaussianBlur,
    HorizontalFlip,
    MixUp,
    Normalize,
    OneOf,
    RandomCrop,
    RandomErasing,
    RandomGray,
    RandomResizedCrop,
)
from cnnjax.errors import BadArgument
from cnnjax.train import (
    EMA,
    LAMB,
    RECIPES,
    SAM,
    SGD,
    SWA,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    ClassWeighted,
    Constant,
    Cosine,
    CrossEntropy,
    Exponential,
    Focal,
    FromOptax,
    Group,
    Hyper,
    Lion,
    Lookahead,
    OneCycle,
    OneVsAll,
    PerClassAccuracy,
    Polynomial,
    Recipe,
    RMSProp,
    Steps,
    Tempered,
    TopK,
)
from cnnjax.train.optimizers import everything, kernels

NAN = float("nan")


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name):
    recipe, hyper = RECIPES[name]
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Hyper.from_dict(json.loads(json.dumps(hyper.to_dict()))) == hyper
    assert hash(recipe) == hash(Recipe.from_dict(recipe.to_dict()))


def hinge(logits, targets):
    return targets[:, 0]


class Unhashable:
    __hash__ = None

    def __call__(self, *arguments):
        return arguments


# For every field what lies just inside of its range, and just outside.
RANGES = {
    "epochs": ([1, 1_000_000], [0, -1, 1_000_001, 10**10, 1.5, "3", True, None]),
    "microbatches": ([1, 1_000_000], [0, 1_000_001, 2.0, True, None]),
    "batch_size": ([1, 1_000_000], [0, 1_000_001, 10**400, 2.0, True]),
    "augment": (
        [(), (RandomCrop(), Normalize()), [MixUp()]],
        [None, "crop", RandomCrop(), (3,), (RandomCrop,), (Normalize(), Normalize())],
    ),
    "loss": ([OneVsAll(), hinge, lambda z, t: t], ["softmax", CrossEntropy, None, 3, Unhashable()]),
    "optimizer": ([Lion(), lambda rate, hyper: None], ["sgd", SGD, None, Unhashable()]),
    "schedule": ([Cosine(), lambda step, steps: 1.0], ["cosine", Cosine, ("cosine",), None]),
    "metrics": (
        [{"top5": TopK(5)}, (), (("a", hinge), ("b", hinge))],
        [{"loss": hinge}, {"accuracy": hinge}, {"a b": hinge}, {"a": TopK}, {1: hinge}, 3, None],
    ),
    "average": ([None, EMA(0.9), lambda *_: None], [0.9, EMA, "ema"]),
    "groups": ([(), (Group("a"),), [Group("a"), Group("b", 0.5)]], ["a", ("a",), None, {"a"}]),
}
# The same for the values' own fields.
OF_VALUES = {
    (RandomCrop, "padding"): ([0, 1_000_000], [-1, 1_000_001, 0.5, True, None]),
    (RandomCrop, "border"): (["zeros", "reflect"], []),
    (RandomResizedCrop, "scale"): (
        [(0.5, 0.5), (1e-4, 1)],
        [(0, 1), (1, 0.5), (0.1, 1.1), 0.5, (0.1,), [0.1, 1], (NAN, 1)],
    ),
    (RandomResizedCrop, "ratio"): ([(0.01, 100)], [(0, 1), (1, 101), (True, 1)]),
    (RandomErasing, "probability"): ([0, 1], [-0.1, 1.1, NAN, "1", True]),
    (RandomErasing, "noise"): ([True], [1, None]),
    (ColorJitter, "contrast"): ([0, 10], [-0.1, 11, None]),
    (ColorJitter, "hue"): ([0, 0.5], [-0.1, 0.6]),
    (RandomGray, "probability"): ([0, 1], [2, None]),
    (GaussianBlur, "sigma"): ([(0.01, 100)], [(0, 1), 1]),
    (GaussianBlur, "radius"): ([1, 1000], [0, 1001, 1.0]),
    (MixUp, "each"): ([True], [1]),
    (CutMix, "each"): ([True], ["yes"]),
    (OneOf, "choices"): ([(MixUp(), CutMix())], [(), [MixUp()], (MixUp,), MixUp(), (3,)]),
    (Cutout, "size"): ([1, 1_000_000], [0, 1_000_001, "8", False]),
    (MixUp, "alpha"): ([0.2, 1, 1000], [0, -1, 1001, True, "1", NAN]),
    (CutMix, "alpha"): ([0.2, 1, 1000], [0, -1, 1001, True, "1", NAN]),
    (TopK, "k"): ([1, 1_000_000], [0, 1.0, True]),
    (EMA, "decay"): ([0, 0.9999], [1, -0.1, NAN, math.inf, False, None]),
    (Steps, "at"): ([(), (0.1, 0.2)], [[0.1], (0.2, 0.1), (0.1, 0.1), (1.0,), (-0.1,), None]),
    (BinaryCrossEntropy, "threshold"): ([None, 0, 0.5], [1, -0.1, NAN, True, "1"]),
    (Focal, "gamma"): ([0, 0.5, 5], [-0.1, NAN, None, True]),
    (Tempered, "temperature"): ([0.5, 20], [0, -1, math.inf, None]),
    (ClassWeighted, "weights"): ([(1, 0.5), ()], [None, 3, "12", (-1.0,), (NAN,)]),
    (Polynomial, "power"): ([0.5, 1, 3], [0, -1, NAN, None]),
    (Exponential, "last"): ([0.5, 1e-6], [0, 1, NAN, None]),
    (FromOptax, "keywords"): ([(), (("value", 1),)], [3, "ab", None, (1,), {1: 2}]),
    (FromOptax, "length"): ([None, "steps"], [3]),
    (FromOptax, "function"): ([optax.constant_schedule], [None, "linear"]),
    (SWA, "start"): ([0, 0.9], [1, -0.1, None]),
    (SWA, "every"): ([1, 50], [0, 1.5, True]),
    (Lookahead, "every"): ([1, 50], [0, 1.5, True]),
    (Lookahead, "pace"): ([0, 0.9], [1, -0.1, None]),
    (Lookahead, "power"): ([0, 3], [-1, NAN, None]),
    (SAM, "rho"): ([0, 0.1], [-1, NAN, None]),
    (SAM, "base"): ([AdamW()], [AdamW, "adamw", None]),
    (Steps, "factor"): ([0, 0.5], [1, -0.1, NAN]),
    **{
        (kind, "clip_norm"): (
            [None, 1e-30, 5, 3e38],
            [0, 0.0, -1, 1e-60, 1e39, math.inf, NAN, True, "1"],
        )
        for kind in (SGD, Adam, AdamW, LAMB, Lion, RMSProp)
    },
    (Group, "pattern"): (["a", "*"], ["", None, 3]),
    (Group, "rate"): ([0, 0.1, 10.0, "backbone_rate"], [-0.1, NAN, None, True]),
    **{
        (kind, "warmup"): (
            [0, 0.0, 0.999, np.float32(0.5)],
            [1.0, 1 - 1e-9, -1e-9, NAN, True, "0.1", None],
        )
        for kind in (OneCycle, Cosine, Steps, Constant, Polynomial, Exponential)
    },
}
# What those without defaults need.
NEEDED = {Group: {"pattern": "*"}, FromOptax: {"function": optax.constant_schedule}}
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
    expected = tuple(value.items()) if isinstance(value, dict) else value
    assert found == (tuple(expected) if isinstance(value, list) else expected)
    hash(Recipe(**{field: value}))


@pytest.mark.parametrize(("field", "value"), cases(OF_VALUES, 0))
def test_values_take_what_is_in_range(field, value):
    kind, name = field
    given = NEEDED.get(kind, {})
    assert getattr(kind(**given | {name: value}), name) == value


@pytest.mark.parametrize(("field", "value"), cases(OF_VALUES, 1))
def test_values_refuse_and_name_the_field_and_the_value(field, value):
    kind, name = field
    given = NEEDED.get(kind, {})
    with pytest.raises(BadArgument, match=f"^{name}: received .*allowed"):
        kind(**given | {name: value})


@pytest.mark.parametrize(("field", "value"), cases(SCALARS, 0))
def test_hyper_takes_what_is_in_range(field, value):
    assert Hyper(**{field: value}).to_dict()[field] == value


@pytest.mark.parametrize(("field", "value"), cases(RANGES, 1))
def test_recipe_refuses_and_names_the_field(field, value):
    with pytest.raises(BadArgument, match=rf"^{field}(\[.*\])?: .*allowed"):
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


@pytest.mark.parametrize("value", [None, 1.0])
def test_a_recipe_from_when_clipping_was_its_own_is_refused_in_words(value):
    with pytest.raises(BadArgument, match=rf"recipe: clip_norm is {value}.*SGD\(clip_norm="):
        Recipe.from_dict({"epochs": 3, "clip_norm": value})


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
    flipped = [
        HorizontalFlip() in RECIPES[n].recipe.augment for n in ("default", "mnist", "cifar10")
    ]
    assert flipped == [False, False, True]


def test_a_name_and_a_default_mean_what_they_meant():
    """Recorded commands name a recipe, and users leave fields out: changing one changes runs."""
    assert vars(Recipe()) == {
        "epochs": 10,
        "batch_size": 128,
        "augment": (),
        "loss": CrossEntropy(),
        "optimizer": SGD(nesterov=True, decay=kernels),
        "schedule": OneCycle(warmup=0.2),
        "metrics": (),
        "average": None,
        "groups": (),
        "microbatches": 1,
    }
    assert tuple(Hyper().to_dict().values()) == (0.1, 0.9, 5e-4, 0.0, 1.0)
    assert {
        "default": (Recipe(8, 64, (RandomCrop(2),)), Hyper(0.05, label_smoothing=0.1)),
        "mnist": (Recipe(15, augment=(RandomCrop(2),)), Hyper()),
        "cifar10": (
            Recipe(30, augment=(RandomCrop(4), HorizontalFlip(), Normalize(), Cutout(8))),
            Hyper(),
        ),
    } == RECIPES


def test_the_published_run_on_mnist_used_the_recipe_of_its_name():
    """It was written when a recipe was names: what each of them meant."""
    file = Path(__file__).parents[2] / "experiments" / "results" / "mnist_lenet5" / "seed0.json"
    published, (recipe, hyper) = json.loads(file.read_text()), RECIPES["mnist"]
    then = published["recipe"]
    assert then["loss"] == "softmax"
    assert then["optimiser"] == "sgd"
    assert not any(then[name] for name in ("flip", "cutout", "decay_all", "ema_decay"))
    assert recipe == Recipe(
        then["epochs"],
        then["batch_size"],
        (RandomCrop(then["crop_padding"]),),
        schedule={"onecycle": OneCycle}[then["schedule"]](warmup=then["warmup"]),
        optimizer=SGD(clip_norm=then["clip_norm"]),
    )
    assert published["hyper"] == {k: hyper.to_dict()[k] for k in published["hyper"]}


@dataclasses.dataclass(frozen=True)
class Tilted:
    """A loss of the tester's."""

    by: float = 0.5

    def __call__(self, logits, targets):
        return CrossEntropy()(logits + self.by, targets)


def brightness(key, images, targets):
    return images, targets


WHOLE = Recipe(
    epochs=3,
    augment=(brightness, RandomCrop(2), Normalize(), Cutout(3), CutMix(0.5)),
    loss=Tilted(0.25),
    optimizer=AdamW(decay=everything, clip_norm=1.0),
    schedule=Steps(at=(0.5,), factor=0.2, warmup=0.1),
    metrics={"top5": TopK(5), "recall": PerClassAccuracy(), "tilted": Tilted()},
    average=EMA(0.9),
    groups=(Group("head/*", 2.0), Group("*", "backbone_rate")),
)


def test_values_and_those_of_a_user_survive_json():
    text = json.dumps(WHOLE.to_dict(), sort_keys=True)
    assert Recipe.from_dict(json.loads(text)) == WHOLE
    assert Recipe.from_dict(json.loads(text)).to_dict() == WHOLE.to_dict()


def test_a_recipe_is_not_read_back_as_another():
    """A value that changed, is gone, or cannot be told from another."""
    tree = WHOLE.to_dict()
    (name,) = tree["loss"]
    assert name.endswith("test_recipe.Tilted")
    edited = {name: {**tree["loss"][name], "(source)": "0" * 64}}
    for loss, words in (
        (edited, "recipe: loss is .*Tilted.*of another source"),
        ({"no_such_module.Loss": {}}, "recipe: loss names 'no_such_module.Loss'.*import"),
        ({"os.system": {}}, "recipe: loss is"),
        ({"cnnjax.train.losses.CrossEntropy": {"by": 1}}, r"recipe: loss.*unknown name 'by'"),
        ({"cnnjax.train.losses.Nothing": {}}, "recipe: loss names"),
        ({"a": {}, "b": {}}, "recipe: loss is .*allowed"),
        (["cross_entropy"], "loss: received"),
    ):
        with pytest.raises(BadArgument, match=words):
            Recipe.from_dict({**tree, "loss": loss})
    for value in (lambda z, t: t, functools.partial(hinge)):
        written = Recipe(loss=value)
        with pytest.raises(BadArgument, match=r"recipe: loss is"):
            Recipe.from_dict(written.to_dict())


def test_scalars_of_a_user_s_own_are_a_pytree_and_survive_json():
    hyper = Tuned(0.2, margin=3.0)
    assert Tuned.from_dict(json.loads(json.dumps(hyper.to_dict()))) == hyper
    doubled = jax.tree.map(lambda x: 2 * x, hyper)
    assert (type(doubled), doubled.margin, doubled.learning_rate) == (Tuned, 6.0, 0.4)
    with pytest.raises(BadArgument, match="margin: received -1"):
        Tuned(margin=-1)


@dataclasses.dataclass(frozen=True)
class Tuned(Hyper):
    margin: float = 1.0
