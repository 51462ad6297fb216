"""Every slip of a user's ends in one line: the argument, what came and what is allowed."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.core import freeze
from jax.sharding import Mesh

from cnnjax.data.augment import RandomCrop
from cnnjax.errors import BadArgument
from cnnjax.train import (
    RECIPES,
    Group,
    Hyper,
    NamedRecipe,
    Recipe,
    backbone_and,
    fit,
    show_progress,
    sweep,
)
from cnnjax.train.keys import named_key
from tests.train.toy import Linear, Normed, toy_set

TRAIN, TEST = toy_set(12, "train"), toy_set(5, "test")
KEY = jax.random.key(0)
RECIPE = Recipe(epochs=1, batch_size=6)
ARGUMENTS = {
    "model": Linear(),
    "train_set": TRAIN,
    "test_set": TEST,
    "recipe": RECIPE,
    "hyper": Hyper(),
    "key": KEY,
}


class Listed(Linear):
    widths: list = dataclasses.field(default_factory=lambda: [1, 2])


class Trainless(nn.Module):
    @nn.compact
    def __call__(self, images):
        return nn.Dense(3)(images.reshape(len(images), -1))


class Returning(nn.Module):
    """Returns `value(logits)`."""

    value: object = None

    @nn.compact
    def __call__(self, images, *, train):
        logits = nn.Dense(3)(images.reshape(len(images), -1))
        return self.value(logits)


class Weightless(nn.Module):
    def __call__(self, images, *, train):
        return images.reshape(len(images), -1)[:, :3]


class Caching(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        self.variable("cache", "seen", jnp.zeros, ())
        return nn.Dense(3)(images.reshape(len(images), -1))


class Buggy(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        raise RuntimeError("first\nsecond")


class OfNNX(nnx.Module):
    def __call__(self, images, *, train):
        return images


NAMED = RECIPES["default"]

# Arguments that are wrong, and the words of the error; the rest are as in ARGUMENTS.
SLIPS = {
    "a network's name": ({"model": "lenet5"}, r"model: .*'lenet5'.*cnnjax\.build\('lenet5', num_c"),
    "a class": ({"model": Linear}, r"model: received a class.*Linear\(\)"),
    "an nnx module": ({"model": OfNNX()}, "model: .*OfNNX of Flax NNX.*flax.linen"),
    "no module": ({"model": 3}, "model: received a int.*flax.linen"),
    "None": ({"model": None}, "model: received a NoneType.*flax.linen"),
    "a module without train": ({"model": Trainless()}, "model: Trainless.* takes no train"),
    "a list in a field": ({"model": Listed()}, r"model: Listed\.widths is a list.*hashed.*tuples"),
    "a module that fails": (
        {"model": Buggy()},
        r"model: .*\[1, 8, 8, 1\].*RuntimeError: first$",
    ),
    "a module without weights": ({"model": Weightless()}, "model: .*no parameters"),
    "another collection": ({"model": Caching()}, r"model: .*\['cache'\].*params and batch_stats"),
    "two results": ({"model": Returning(lambda x: (x, {}))}, "model: .*returns a tuple.*logits"),
    "integers": (
        {"model": Returning(lambda x: x > 1)},
        "model: .*allowed: logit",
    ),
    "a map of logits": ({"model": Returning(lambda x: x[:, None])}, r"model: .*\[1, 3\] logits"),
    "one logit": ({"model": Returning(lambda x: x[:, 0])}, r"model: .*\[\] logits"),
    "fewer logits": ({"model": Linear(num_classes=2)}, r"model: .*\[2\] logits.*3 classes"),
    "more logits": ({"model": Linear(num_classes=4)}, r"model: .*\[4\] logits.*3 classes.*\[3\]"),
    "a name of a set": (
        {"train_set": "digits"},
        r"train_set: received a text \('digits'\).*Dataset",
    ),
    "no set": ({"train_set": None}, "train_set: received a NoneType.*Dataset"),
    "arrays": ({"test_set": (np.zeros(3), np.zeros(3))}, "test_set: received a tuple.*Dataset"),
    "arrays to validate": ({"validation": np.zeros(3)}, "validation: received a ndarray.*Dataset"),
    "other images": ({"test_set": toy_set(5, "test", size=9)}, r"test_set: images are \[9, 9, 1\]"),
    "other classes": (
        {"validation": dataclasses.replace(TEST, class_names=("a", "b", "c"))},
        "validation: its classes",
    ),
    "a named recipe": ({"recipe": NAMED}, "recipe: .*NamedRecipe.*recipe, hyper = RECIPES"),
    "a recipe's name": ({"recipe": "default"}, r"recipe: .*text \('default'\).*Recipe\("),
    "a recipe's fields": ({"recipe": {"epochs": 1}}, "recipe: received a dict"),
    "fields of scalars": ({"hyper": {"momentum": 0}}, "hyper: received a dict.*Hyper"),
    "a recipe for scalars": ({"hyper": RECIPE}, "hyper: received a Recipe.*Hyper"),
    "stacked scalars": ({"hyper": Hyper(jnp.ones(3))}, "hyper: .*scalars"),
    "scalars out of range": ({"hyper": Hyper(momentum=jnp.ones(()))}, "momentum: received 1.0"),
    "too much padding": (
        {"recipe": dataclasses.replace(RECIPE, augment=(RandomCrop(9),))},
        r"augment\[0\]: padding: received 9.*0 to 8",
    ),
    "too many steps": (
        {"recipe": Recipe(1_000_000, 1), "train_set": toy_set(2148, "train")},
        "epochs: 2148000000 steps; allowed: up to 2147483647",
    ),
    "an augmentation that loses images": (
        {"recipe": Recipe(augment=(lambda key, x, t: (x[1:], t),))},
        r"augment\[0\]: <lambda> returns \(\[11, 8, 8, 1\], \[12, 3\]\); allowed: images \[12, 8",
    ),
    "an augmentation without targets": (
        {"recipe": Recipe(augment=(lambda key, x, t: x,))},
        r"augment\[0\]: <lambda> returns \[12, 8, 8, 1\]",
    ),
    "an augmentation that fails": (
        {"recipe": Recipe(augment=(lambda key, x: x,))},
        r"augment\[0\]: it fails with TypeError: ",
    ),
    "a loss of the batch": (
        {"recipe": Recipe(loss=lambda z, t: z.mean())},
        r"loss: <lambda> returns \[\]; allowed: \[12\]",
    ),
    "a loss of labels": (
        {"recipe": Recipe(loss=lambda z, t: z[jnp.arange(12), t])},
        r"loss: it fails with TypeError: .*",
    ),
    "a metric of the batch": (
        {"recipe": Recipe(metrics={"mine": lambda z, t: z.mean()})},
        r"metrics\['mine'\]: <lambda> returns \[\]",
    ),
    "a schedule of an epoch": (
        {"recipe": Recipe(schedule=lambda step, steps: jnp.ones(3))},
        r"schedule: <lambda> returns \[3\]; allowed: a scalar",
    ),
    "a schedule of one argument": (
        {"recipe": Recipe(schedule=lambda step: 1.0)},
        r"schedule: it fails with TypeError",
    ),
    "an optimizer that is none": (
        {"recipe": Recipe(optimizer=lambda rate, hyper: rate)},
        r"optimizer: it fails with AttributeError",
    ),
    "a rate of no backbone": ({"hyper": Hyper(backbone_rate=0.1)}, "backbone_rate: must be 1"),
    "a head that is not there": (
        {"recipe": Recipe(groups=backbone_and(["heed"]))},
        r"groups: unknown name 'heed/\*'; did you mean",
    ),
    "a rate that is no scalar": (
        {"recipe": Recipe(groups=(Group("*", "backbonerate"),))},
        "groups: rate: unknown name 'backbonerate'; did you mean 'backbone_rate'",
    ),
    "all frozen": (
        {"recipe": Recipe(groups=(Group("*", 0.0),))},
        "groups: all parameters are froz",
    ),
    "all frozen by a scalar": (
        {"recipe": Recipe(groups=(Group("*", "backbone_rate"),)), "hyper": Hyper(backbone_rate=0)},
        "groups: all parameters are frozen",
    ),
    "a seed for a key": ({"key": 0}, r"key: received 0.*jax\.random\.key"),
    "an old key": ({"key": jax.random.PRNGKey(0)}, r"key: received an array uint32\[2\]"),
    "two keys": ({"key": jax.random.split(KEY)}, r"key: received an array key<fry>\[2\]"),
    "a normalization of three": ({"normalization": ([0.5], [1.0], [1.0])}, "normalization: "),
    "a number to normalize by": ({"normalization": 0.5}, "normalization: received 0.5"),
    "text to normalize by": ({"normalization": ("a", "b")}, "normalization: received"),
    "two channels": ({"normalization": ([0.5, 0.5], [1, 1])}, "normalization: .*1 channels"),
    "a deviation for two": ({"normalization": ([0.5], [1, 1])}, "normalization: .*1 channels"),
    "no deviation": ({"normalization": ([0.5], [0])}, "normalization: .*positive"),
    "an endless deviation": ({"normalization": ([0.5], [np.inf])}, "normalization: .*positive"),
    "a mean that is no number": ({"normalization": ([np.nan], [1])}, "normalization: .*nan"),
    "progress not entered": ({"progress": show_progress("x")}, "progress: .*with show_progress"),
    "progress as a wish": ({"progress": True}, "progress: received True.*function"),
    "a number for a directory": ({"checkpoint_dir": 3}, "checkpoint_dir: received 3.*path"),
    "devices for a mesh": ({"mesh": jax.devices()}, "mesh: .*data_parallel_mesh"),
    "another mesh": ({"mesh": Mesh(np.array(jax.devices()), ("x",))}, "mesh: .*data_parallel_mesh"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_ends_in_one_line(name):
    changes, words = SLIPS[name]
    with pytest.raises(BadArgument, match=f"^{words}") as caught:
        fit(**(ARGUMENTS | changes))
    assert "\n" not in str(caught.value)


# The same edge, with lists.
SWEEP_SLIPS = {
    "one hyper": ({"hypers": Hyper()}, r"hypers: received Hyper\(.*a list"),
    "no hyper": ({"hypers": []}, "hypers: received none"),
    "a recipe": ({"hypers": [RECIPE]}, "hyper: received a Recipe"),
    "one key": ({"keys": KEY}, "keys: received .*a list"),
    "no key": ({"keys": []}, "keys: received none"),
    "no key in an array": ({"keys": jax.random.split(KEY, 3)[:0]}, "keys: received none"),
    "a seed": ({"keys": 0}, "keys: received 0.*a list"),
    "seeds": ({"keys": [0, 1]}, "keys: received 0.*jax.random.key"),
    "two generators": ({"keys": [KEY, jax.random.key(0, impl="rbg")]}, r"keys: .*one generator"),
    "text": ({"keys": "01"}, "keys: received '01'.*a list"),
    "a network's name": ({"model": "lenet5"}, "model: "),
    "a named recipe": ({"recipe": NamedRecipe(RECIPE, Hyper())}, "recipe: "),
    "a frozen run and another": (
        {
            "recipe": Recipe(groups=backbone_and(["head"])),
            "hypers": [Hyper(backbone_rate=0), Hyper(backbone_rate=0.5)],
        },
        r"backbone_rate: received \[0\.0, 0\.5\].*0 in all runs",
    ),
    "progress not entered": ({"progress": show_progress("x")}, "progress: .*with show_progress"),
}


@pytest.mark.parametrize("name", SWEEP_SLIPS)
def test_a_slip_in_a_sweep_ends_in_one_line(name):
    changes, words = SWEEP_SLIPS[name]
    arguments = {k: v for k, v in ARGUMENTS.items() if k not in ("hyper", "key")}
    arguments |= {"hypers": [Hyper()], "keys": [KEY]}
    with pytest.raises(BadArgument, match=f"^(?s:{words})"):
        sweep(**(arguments | changes))


BEGUN = jax.tree.map(
    np.asarray, Normed().init(named_key(KEY, "init"), np.zeros((1, 8, 8, 1)), train=False)
)
STILL = Hyper(learning_rate=0)


def started_from(variables):
    return fit(Normed(), TRAIN, None, RECIPE, STILL, KEY, variables=variables).state.params


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64, np.float32])
def test_weights_of_every_floating_type_and_mapping_start_a_run(dtype):
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype), BEGUN)
    for given in (cast, freeze(cast), {k: freeze(v) for k, v in cast.items()}):
        found = started_from(given)
        assert type(found) is dict
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(cast["params"]), strict=True):
            assert one.dtype == jnp.float32
            np.testing.assert_array_equal(one, other.astype(np.float32))


def changed(value):
    params = BEGUN["params"] | {"head": BEGUN["params"]["head"] | {"bias": value}}
    return BEGUN | {"params": params}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (BEGUN["params"], r"variables: received \['body', 'head', 'norm'\].*\['params', 'batch_st"),
        ([1], "variables: received list"),
        ("weights", r"variables: received text \('weights'\)"),
        ({"params": BEGUN["params"]}, r"variables: .*\['batch_stats'\]"),
        (BEGUN | {"cache": {"a": 1.0}}, r"variables: .*\['cache'\]"),
        (changed(np.zeros(4, np.float32)), r"variables: not those of the model.*'bias'\].*\(4,\)"),
        (changed(np.zeros(3, np.int32)), r"variables: .*'bias'\] is int32, allowed: float32"),
        (changed(np.zeros(3, bool)), r"variables: .*'bias'\] is bool"),
        (changed(np.full(3, "a")), r"variables: .*'bias'\] is <U1"),
        (
            changed(np.array([0, 0, np.nan])),
            r"variables: .*'bias'\] has numbers that are not finite",
        ),
        (changed(np.full(3, 1e300)), r"variables: .*'bias'\] has numbers that are not finite"),
    ],
)
def test_weights_that_are_not_the_model_s_are_refused(variables, words):
    with pytest.raises(BadArgument, match=f"^{words}"):
        started_from(variables)


def test_what_is_given_may_be_odd_and_right():
    """Arrays for scalars, numpy for floats, keys in an array, no test set, any callable."""
    hyper = Hyper(*map(jnp.float32, (0.1, 0.9, 0.0, 0.0, 1.0)))
    run = fit(Linear(), TRAIN, None, RECIPE, hyper, KEY, normalization=[[0.5], [0.25]])
    assert (run.mean.tolist(), run.std.tolist()) == ([0.5], [0.25])
    keys = jax.random.split(KEY, 2)
    assert len(sweep(Linear(), TRAIN, None, RECIPE, (hyper,), keys, progress=print)) == 2
