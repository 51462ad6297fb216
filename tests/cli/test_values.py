"""What holds of every value of a recipe that a command line can write: none is left out.

They are read off `VALUES`. That a loss, a metric, an optimizer or a schedule is what its formula
says is in files of their own, whose tables have to have it: `test_every_value_has_a_formula`.
"""

import dataclasses
import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnnjax.cli import settings, values
from cnnjax.cli.values import READERS, VALUES
from cnnjax.errors import BadArgument
from cnnjax.train import Hyper, Recipe
from cnnjax.train.state import create_state
from cnnjax.train.step import make_train_step
from tests.train import test_losses, test_metrics, test_optimizers, test_schedules
from tests.train.toy import Normed

# A value that has a field without a default is written with one.
NEEDED: dict[str, str] = {}

# The others of `VALUES` are arguments of a search.
FIELDS = [field for field in VALUES if field in READERS]
every_value = pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field in FIELDS for name in VALUES[field]]
)


def written(field, name, fields=""):
    """The text that writes a value: a metric has a label as well."""
    label = "mine=" if field == "metrics" else ""
    return f"{label}{name}{':' if fields else ''}{fields or NEEDED.get(name, '')}"


def read(field, text):
    """The value that a recipe has of a text, a tuple where it has several."""
    found = getattr(settings.Settings(**{field: text}).chosen()[0], field)
    return found[0] if field in ("augment", "metrics") else found


def bare(field, value):
    return value[1] if field == "metrics" else value


@every_value
def test_a_value_is_read_by_its_name_and_by_all_of_its_fields(field, name):
    value = bare(field, read(field, written(field, name)))
    assert type(value) is VALUES[field][name]
    assert hash(value) == hash(bare(field, read(field, written(field, name))))
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.anything = 3
    functions = {function: name for name, function in values._FUNCTIONS.items()}
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if any(dataclasses.is_dataclass(each) for each in jax.tree.leaves(fields)):
        return  # a value of values, which is written above
    text = ",".join(f"{k}={functions.get(v, v) if callable(v) else v}" for k, v in fields.items())
    assert bare(field, read(field, written(field, name, text))) == value


@every_value
def test_a_value_is_json_and_back(field, name):
    value = read(field, written(field, name))
    recipe = Recipe(**{field: (value,) if field in ("augment", "metrics") else value})
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@every_value
def test_a_value_says_what_it_is(field, name):
    words = inspect.getdoc(VALUES[field][name])
    assert not words.startswith(f"{VALUES[field][name].__name__}(")  # a dataclass's own
    # What several share is said by the class that has it.
    words = "".join(kind.__doc__ or "" for kind in VALUES[field][name].__mro__)
    for each in dataclasses.fields(VALUES[field][name]):
        assert f"{each.name}: " in words, each.name


@every_value
def test_a_step_with_a_value_is_one_of_the_same_form(field, name):
    """Traced alone: the state that comes out can go in again, and what is measured is float32."""
    value = read(field, written(field, name))
    recipe = Recipe(**{field: (value,) if field in ("augment", "metrics") else value})
    model, shape = Normed(), (4, 8, 8, 3)
    hyper, three = jax.tree.map(jnp.float32, Hyper()), jnp.ones(3)
    abstract = jax.eval_shape(
        lambda key: create_state(model, recipe, shape[1:], hyper, three, three, key),
        jax.random.key(0),
    )
    batch = [jax.ShapeDtypeStruct(shape, jnp.uint8), jax.ShapeDtypeStruct((4, 3), jnp.float32)]
    if field == "augment" and callable(value) and "moment" in inspect.signature(value).parameters:
        batch.append(jax.ShapeDtypeStruct((4,), jnp.int32))
    key = jax.eval_shape(lambda: jax.random.key(0))
    state, metrics = jax.eval_shape(make_train_step(model, recipe, 10), abstract, tuple(batch), key)
    form = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert form(state) == form(abstract)
    assert {"loss", "accuracy"} <= set(metrics)
    assert {leaf.dtype for leaf in jax.tree.leaves(metrics)} == {jnp.dtype(jnp.float32)}


def test_every_value_has_a_formula():
    """The tables that say what a value computes have a row of each."""
    tables = {
        "loss": test_losses.LOSSES,
        "metrics": test_metrics.METRICS,
        "optimizer": test_optimizers.OPTIMIZERS,
        "schedule": test_schedules.SCHEDULES,
    }
    for field, table in tables.items():
        kinds = {getattr(made, "func", made) for made in table.values()}
        kinds = {kind if isinstance(kind, type) else type(kind) for kind in kinds}
        assert set(VALUES[field].values()) <= kinds, field


@dataclasses.dataclass(frozen=True)
class Cubed:
    """The third power of the error of the softmax.

    Attributes:
        factor: that it is multiplied by.
    """

    factor: float = 1.0

    def __call__(self, logits, targets):
        return self.factor * (jnp.abs(jax.nn.softmax(logits) - targets) ** 3).sum(axis=-1)


@dataclasses.dataclass(frozen=True)
class Slower:
    """A rate that falls as the steps go by."""

    def __call__(self, step, steps):
        return 1 / (1 + step / steps)


@dataclasses.dataclass(frozen=True)
class Signed:
    """The sign of the gradient.

    Attributes:
        scale: of a step.
    """

    scale: float = 0.5

    def __call__(self, learning_rate, hyper):
        return optax.chain(optax.sign_sgd(learning_rate), optax.scale(self.scale))


@dataclasses.dataclass(frozen=True)
class Inverted:
    """White becomes black."""

    def __call__(self, key, images, targets):
        return 255 - images, targets


@dataclasses.dataclass(frozen=True)
class Confidence:
    """The largest probability."""

    def __call__(self, logits, targets):
        return jax.nn.softmax(logits).max(axis=-1)


@dataclasses.dataclass(frozen=True)
class Newest:
    """No average."""

    def __call__(self, average, variables, step, steps):
        return variables


ADDED = {
    "loss": Cubed,
    "schedule": Slower,
    "optimizer": Signed,
    "augment": Inverted,
    "metrics": Confidence,
    "average": Newest,
}


@pytest.mark.parametrize("field", FIELDS)
def test_one_row_is_all_that_a_value_takes(field, monkeypatch):
    """The help, the grammar, its errors, JSON and every check above then have it."""
    kind = ADDED[field]
    monkeypatch.setitem(VALUES[field], "added", kind)
    options = {name: of_option.__metadata__[0] for name, of_option, _ in settings._options()}
    assert options[field].help.endswith("added.")
    test_a_value_is_read_by_its_name_and_by_all_of_its_fields(field, "added")
    test_a_value_is_json_and_back(field, "added")
    test_a_value_says_what_it_is(field, "added")
    test_a_step_with_a_value_is_one_of_the_same_form(field, "added")
    with pytest.raises(BadArgument, match="did you mean 'added'"):
        READERS[field](written(field, "aded"))
    for each in dataclasses.fields(kind):
        value = bare(field, read(field, written(field, "added", f"{each.name}=0.25")))
        assert value == kind(**{each.name: 0.25})
        with pytest.raises(BadArgument, match=f"did you mean '{each.name}'"):
            READERS[field](written(field, "added", f"{each.name}s=0.25"))


def test_a_value_without_a_check_is_told(monkeypatch):
    for field in ("loss", "metrics", "optimizer", "schedule"):
        with monkeypatch.context() as patch:
            patch.setitem(VALUES[field], "added", ADDED[field])
            with pytest.raises(AssertionError, match=field):
                test_every_value_has_a_formula()


def test_a_value_of_the_tester_s_own_computes():
    """That the rows above are no stubs."""
    logits, targets = np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])
    assert Cubed(2.0)(logits, targets) == pytest.approx([0.5])
