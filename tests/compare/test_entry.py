import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from cnnjax.compare import Contestant, parse_contestant, parse_contestants
from cnnjax.compare.entry import contestants_of
from cnnjax.errors import BadArgument
from cnnjax.models import build


@pytest.mark.parametrize(
    ("text", "contestant"),
    [
        ("lenet5", Contestant("lenet5", "lenet5")),
        ("small=lenet5", Contestant("small", "lenet5")),
        ("a:depth=8", Contestant("a:depth=8", "a", {"depth": 8})),
        ("w=a:x=0.5,y=(1, 2),z=True", Contestant("w", "a", {"x": 0.5, "y": (1, 2), "z": True})),
        (
            "cnn:spec=conv8-relu-fc10",
            Contestant("cnn:spec=conv8-relu-fc10", "cnn", {"spec": "conv8-relu-fc10"}),
        ),
    ],
)
def test_forms(text, contestant):
    assert parse_contestant(text) == contestant
    assert parse_contestant(contestant.argument) == contestant


@pytest.mark.parametrize("text", ["", "=a", "a:", "a:b", "a:b=", "a:=1", "a:b=1,b=2", "x=:a=1"])
def test_other_forms_are_refused(text):
    with pytest.raises(BadArgument, match="network: "):
        parse_contestant(text)


def test_a_mapping_gives_the_labels():
    given = {"mine": "cnn:spec=fc3", "other": Contestant("x", "lenet5")}
    assert contestants_of(given) == [
        Contestant("mine", "cnn", {"spec": "fc3"}), Contestant("other", "lenet5"),
    ]  # fmt: skip
    assert contestants_of(("lenet5",)) == [Contestant("lenet5", "lenet5")]
    module = build("cnn", spec="fc3", num_classes=5)
    assert contestants_of({7: module}) == [Contestant("7", module)]
    assert contestants_of({"a": module})[0].build(5) is module
    with pytest.raises(BadArgument, match="a module without a label"):
        contestants_of([module])
    with pytest.raises(BadArgument, match=r"a: received fields \['spec'\] beside a module"):
        Contestant("a", module, {"spec": "fc4"}).build(5)
    with pytest.raises(BadArgument, match="network: object <object"):
        contestants_of({"mine": object()})


@dataclasses.dataclass(frozen=True)
class Part:
    size: int = 1
    inner: object = None


def test_a_module_is_described_by_its_class_and_what_is_not_its_default():
    module = build("cnn", spec="fc3", num_classes=5, dtype=jnp.bfloat16)
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    fields = {"spec": "fc3", "num_classes": 5, "dtype": "bfloat16"}
    assert Contestant("a", module).described() == {
        "argument": "SpecNetwork(spec=fc3, num_classes=5, dtype=bfloat16)",
        "model": kind,
        "fields": fields,
    }
    parts = dataclasses.replace(Part(), inner=(Part(2), np.ones(3), None))
    described = Contestant("a", parts).described()  # type: ignore[arg-type]
    assert described["fields"] == {"inner": ["Part(size=2)", "ndarray", None]}


def test_a_literal_that_python_cannot_read_is_text():
    deep = "(" * 5000
    assert parse_contestant(f"a:x={deep}").fields == {"x": deep}


def test_a_label_stands_once():
    with pytest.raises(BadArgument, match="'lenet5' is given twice"):
        parse_contestants(["lenet5", "lenet5"])
    assert len(parse_contestants(["lenet5", "other=lenet5"])) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenet6", "did you mean 'lenet5'"),
        ("lenet5:widht=3", "lenet5: override: unknown name 'widht'"),
        ("lenet5:num_classes=3", "num_classes comes from the data"),
        ("cnn:spec=cnov3", "spec: layer: unknown name"),
    ],
)
def test_what_cannot_be_built(text, message):
    with pytest.raises(BadArgument, match=message):
        parse_contestant(text).build(10)


def test_the_number_of_classes_is_the_data_s():
    assert parse_contestant("lenet5").build(7).num_classes == 7
