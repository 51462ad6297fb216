"""What is described alike is the same, in any process; what could be something else is refused."""

import dataclasses
import functools
import importlib
import itertools
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.core import freeze

import cnnjax
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS
from cnnjax.train import Hyper, Recipe, fit
from cnnjax.train.identity import describe, fingerprint
from tests.train import lookalikes as its
from tests.train.toy import Toy, toy_set

ROOT = str(Path(__file__).parents[2])

# Each differs from every other, however alike they look.
DIFFERENT = {
    "none": None,
    "true": True,
    "one": 1,
    "one as a float": 1.0,
    "one as text": "1",
    "one as bytes": b"1",
    "one as complex": 1 + 0j,
    "minus zero": -0.0,
    "zero": 0.0,
    "float32 one": np.float32(1),
    "float64 one": np.float64(1),
    "int64 one": np.int64(1),
    "array": np.ones(1, np.float32),
    "array of two axes": np.ones((1, 1), np.float32),
    "array of another type": np.ones(1, np.int32),
    "array of bfloat16": jnp.ones(1, jnp.bfloat16),
    "array with another number": np.full(1, 2, np.float32),
    "key": jax.random.key(0),
    "other key": jax.random.key(1),
    "other generator": jax.random.key(0, impl="rbg"),
    "float32": jnp.float32,
    "bfloat16": jnp.bfloat16,
    "big-endian float32": np.dtype(">f4"),
    "enum": its.Color.RED,
    "other enum": its.Color.BLUE,
    "level": its.Level.LOW,
    "other level": its.Level.HIGH,
    "enum's class": its.Color,
    "empty": (),
    "list": [1, 2],
    "other order": [2, 1],
    "nested": [[1], 2],
    "dictionary": {"a": 1},
    "dictionary of another key": {1: 1},
    "dictionary of the key as text": {"1": 1},
    "empty dictionary": {},
    "empty set": set(),
    "set": {1, 2},
    "set of others": frozenset({"a", "b", "c"}),
    "named tuple": its.Pair(1, 2),
    "function": its.double,
    "other function": its.triple,
    "decorated function": its.half,
    "name of a function": "double",
    "jitted": its.jitted,
    "library function": jax.nn.relu,
    "another": jax.nn.gelu,
    "ufunc": np.tanh,
    "builtin": round,
    "partial": functools.partial(its.triple, times=2),
    "partial with another number": functools.partial(its.triple, times=4),
    "partial without": functools.partial(its.triple),
    "partial with an argument": functools.partial(its.triple, 2),
    "partial with an array": functools.partial(jnp.multiply, np.ones(2)),
    "partial with another array": functools.partial(jnp.multiply, np.zeros(2)),
    "dataclass": its.Scale(3.0),
    "dataclass with another number": its.Scale(1.0),
    "its class": its.Scale,
    "another class of that name": its.Outer.Scale,
    "method": its.Scale(3.0).apply,
    "another method": its.Scale(3.0).undo,
    "method of another": its.Scale(1.0).apply,
    "initializer": nn.initializers.normal(0.1),
    "another initializer": nn.initializers.normal(0.2),
    "an initializer that looks like it": nn.initializers.truncated_normal(0.1),
    "constant": nn.initializers.constant(0.1),
    "constant of arrays": nn.initializers.constant(np.ones(2)),
    "module": its.Net(),
    "module with an activation": its.Net(act=its.double),
    "module with another": its.Net(act=its.Scale(2.0)),
    "module with a module": its.Net(inner=its.Net()),
    "module with a module of another name": its.Net(inner=its.Net(name="left")),
    "flax's": nn.Dense(3),
}


def text(value):
    return json.dumps(describe(value))


def test_values_that_differ_are_described_differently():
    texts = {name: text(value) for name, value in DIFFERENT.items()}
    for one, other in itertools.combinations(texts, 2):
        assert texts[one] != texts[other], f"{one} and {other}"
    assert not [name for name, each in texts.items() if re.search("0x[0-9a-f]{6}", each)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (jnp.float32, np.float32),
        (np.dtype("float32"), jnp.float32),
        ({"a": 1}, freeze({"a": 1})),
        ({"a": 1}, types.MappingProxyType({"a": 1})),
        ((1, 2), [1, 2]),
        ({1, 2, 3}, frozenset({3, 2, 1})),
        (nn.initializers.he_normal(), nn.initializers.he_normal()),
        (functools.partial(round, a=1, b=2), functools.partial(round, b=2, a=1)),
        (np.ones(3), np.ones(6)[::2]),
        (jnp.ones(3), np.ones(3, np.float32)),
        (its.Net(act=its.double), its.Net(act=its.double, name="anything")),
        (its.Scale(3.0).apply, its.Scale(3.0).apply),
    ],
)
def test_values_that_are_the_same_are_described_alike(one, other):
    assert text(one) == text(other)


def local_class():
    @dataclasses.dataclass(frozen=True)
    class Scale:
        factor: float = 1.0

    return Scale


def renamed(name, function):
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__module__, copy.__qualname__ = "jax.nn", name
    return copy


LOOPED = []
LOOPED.append(LOOPED)

REFUSED = {
    "lambda": (lambda x: x, "lambda"),
    "lambda with a name": (its.nameless, "lambda"),
    "closure": (its.scaled(3.0), "inside a function"),
    "closure with a name in a module": (its.hidden, "closes over"),
    "partial of a closure": (functools.partial(its.scaled(3.0)), "inside a function"),
    "lambda in a field": (its.Net(act=lambda x: x), r"model\.act is .*lambda"),
    "lambda in a tuple in a field": (its.Net(act=(1, lambda x: x)), r"model\.act\[1\] is"),
    "lambda in a library's closure": (nn.initializers.constant(lambda: 1), "lambda"),
    "local class": (local_class(), "inside a function"),
    "module of a local class": (local_class()(), "inside a function"),
    "callable without fields": (its.Opaque(3.0), "Opaque"),
    "state beside the fields": (its.Secretive(3.0), "kept is .*not a field"),
    "under a name that is another's": (renamed("relu", its.double), "not found"),
    "under a name that is nobody's": (renamed("nothing", its.double), "not found"),
    "jitted on the way": (jax.jit(its.double), "not found"),
    "method of text": ("a".upper, "not found"),
    "method put on an object": (types.MethodType(its.double, its.Scale(3.0)), "not found"),
    "object": (object(), "object"),
    "objects in an array": (np.array([None, 1]), "array of objects"),
    "masked array": (np.ma.masked_array([1, 2], [True, False]), "MaskedArray"),
    "path": (Path("a"), "PosixPath"),
    "looped": (LOOPED, "nested too deeply"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_something_else_is_refused_in_words(name):
    value, words = REFUSED[name]
    with pytest.raises(BadArgument, match=f"^place: (.|\n)*{words}(.|\n)*") as caught:
        describe(value, "place")
    assert "\n" not in str(caught.value)
    if name != "looped":
        assert "allowed" in str(caught.value)


def test_sets_of_what_has_no_order_are_described_in_one():
    one, other = describe(frozenset({b"a", 1j, b"b"})), describe(frozenset({b"b", b"a", 1j}))
    assert one == other
    assert len(one["set"]) == 3


def test_a_tracer_is_refused():
    with pytest.raises(BadArgument, match="traced"):
        jax.make_jaxpr(lambda x: describe(x) and x)(1.0)


def test_every_network_can_be_identified_and_none_is_taken_for_another():
    texts = [text(cnnjax.build(name)) for name in MODELS]
    assert len(set(texts)) == len(texts)
    assert not [each for each in texts if "(source)" in each]  # a library's name is enough


USERS = """
import collections
import numpy as np
import of_the_user_too

WIDTH, SHAPE, OTHER = 3, (1, 2), 5
Row = collections.namedtuple("Row", "a b")


def helper(x):
    return deeper(x) * WIDTH


def deeper(x):
    return x + 1


def unused(x):
    return x


class Base:
    width = 7


class Block:
    def __call__(self, x):
        return np.pi * x


class Net(Base):
    block = Block

    def __call__(self, x):
        return [helper(y) for y in of_the_user_too.elsewhere(x)], SHAPE, Row(1, 2), Net

    @property
    def half(self):
        return halved(self)

    @staticmethod
    def twice(x):
        return doubled(x)


def halved(x):
    return x / 2


def doubled(x):
    return x * 2
"""
EDITS = {
    "a comment elsewhere": ("def unused", "# a comment\n\ndef unused", True),
    "what is not used": ("    return x\n", "    return -x\n", True),
    "a constant that is not used": ("5", "6", True),
    "itself": ("[helper(y)", "[-helper(y)", False),
    "its base": ("width = 7", "width = 8", False),
    "a function that it calls": ("deeper(x) *", "deeper(x) +", False),
    "a function which that calls": ("x + 1", "x + 2", False),
    "a class in an attribute": ("np.pi * x", "np.pi + x", False),
    "a constant that is used": ("SHAPE, OTHER = 3, (1, 2)", "SHAPE, OTHER = 3, (1, 3)", False),
    "a constant used further away": ("OTHER = 3", "OTHER = 4", False),
    "a property's function": ("x / 2", "x / 3", False),
    "a static method's function": ("x * 2", "x * 3", False),
}


def imported(directory, text, elsewhere):
    (directory / "of_the_user.py").write_text(text)
    (directory / "of_the_user_too.py").write_text(f"def elsewhere(x):\n    return {elsewhere}\n")
    for name in ("of_the_user", "of_the_user_too"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("of_the_user").Net


def test_a_user_s_class_is_its_source_and_all_that_it_uses(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = text(imported(tmp_path, USERS, "x"))
    assert "(source)" in before
    for name, (old, new, same) in EDITS.items():
        assert USERS.count(old) == 1, name
        after = text(imported(tmp_path, USERS.replace(old, new), "x"))
        assert (after == before) == same, name
    assert text(imported(tmp_path, USERS, "-x")) != before
    assert text(imported(tmp_path, USERS, "x")) == before


def test_code_without_source_is_refused():
    module = types.ModuleType("typed_in")
    exec("def act(x):\n    return x", module.__dict__)
    module.act.__module__ = "typed_in"
    sys.modules["typed_in"] = module
    try:
        with pytest.raises(BadArgument, match="source cannot be read"):
            describe(module.act)
    finally:
        del sys.modules["typed_in"]


def test_descriptions_are_the_same_in_another_process():
    """With another seed of hashes, another order of sets and other addresses."""
    program = (
        "import json, tests.train.test_identity as t\n"
        "from cnnjax.train.identity import describe\n"
        "print(json.dumps({n: describe(v) for n, v in t.DIFFERENT.items()}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": ROOT, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == {name: describe(v) for name, v in DIFFERENT.items()}


def test_a_fingerprint_is_of_names_types_shapes_and_numbers():
    trees = [
        {"a": np.zeros(2, np.float32)},
        {"b": np.zeros(2, np.float32)},
        {"a": np.zeros(2, np.int32)},
        {"a": np.zeros((2, 1), np.float32)},
        {"a": np.array([0, 1], np.float32)},
        {"a": np.array([1, 0], np.float32)},
        {"a": jnp.zeros(2, jnp.bfloat16)},
        {"a": {"a": np.zeros(2, np.float32)}},
    ]
    assert len({fingerprint(tree) for tree in trees}) == len(trees)
    assert fingerprint(trees[0]) == fingerprint({"a": jnp.zeros(2)})


def test_two_closures_of_one_function_never_share_a_checkpoint(tmp_path):
    """They train, each as what it is; a directory would give one the other's weights."""
    train_set = toy_set(6, "train")
    recipe, key = Recipe(epochs=1, batch_size=6), jax.random.key(0)
    runs = [
        fit(its.Net(act=act), train_set, None, recipe, Hyper(), key)
        for act in (its.scaled(3.0), its.scaled(1.0))
    ]
    first, second = (np.asarray(run.variables["params"]["Dense_0"]["kernel"]) for run in runs)
    assert (first != second).any()
    with pytest.raises(BadArgument, match=r"checkpoint_dir: model\.act is"):
        fit(
            its.Net(act=its.scaled(3.0)), train_set, None, recipe, Hyper(), key,
            checkpoint_dir=tmp_path / "new",
        )  # fmt: skip
    assert not (tmp_path / "new").exists()
    values = [its.Scale(3.0), its.Scale(1.0)]
    fit(its.Net(act=values[0]), train_set, None, recipe, Hyper(), key, checkpoint_dir=tmp_path)
    with pytest.raises(BadArgument, match=r"factor is 3\.0, not 1\.0"):
        fit(its.Net(act=values[1]), train_set, None, recipe, Hyper(), key, checkpoint_dir=tmp_path)


def test_a_models_description_names_its_class_and_fields():
    (name,), (fields,) = zip(*describe(Toy(num_classes=4)).items(), strict=True)
    assert name == "tests.train.toy.Toy"
    assert fields["num_classes"] == 4
    assert set(fields) == {"num_classes", "(source)"}
