"""What competes: a module, or a name with overrides of its fields as a command line writes it."""

import ast
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.models import build
from cnnjax.typing import Model

__all__ = [
    "Contestant",
    "Contestants",
    "contestants_of",
    "parse_contestant",
    "parse_contestants",
]


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One network of a comparison.

    Attributes:
        label: what the results call it.
        model: a Linen module, or a name in `cnnjax.models.MODELS`.
        fields: overrides of the family's fields, for a name; not `num_classes`, which the data
            decide.
    """

    label: str
    model: Model | str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, num_classes: int) -> Model:
        """Return the module; `BadArgument` for an unknown name or field."""
        if not isinstance(self.model, str):
            if self.fields:
                raise BadArgument(
                    f"{self.label}: received fields {sorted(self.fields)} beside a module; "
                    "allowed: a module that has them"
                )
            return self.model
        if "num_classes" in self.fields:
            raise BadArgument(f"{self.label}: num_classes comes from the data; leave it out")
        return build(self.model, num_classes=num_classes, **self.fields)

    def described(self) -> dict[str, Any]:
        """Return `argument`, `model` and `fields` for people to read; all of it is JSON.

        Of a module its class, with the fields that are not what the class has by default. What it
        is to the last number, `cnnjax.train.identity.describe` says.
        """
        if isinstance(self.model, str):
            return {"argument": self.argument, "model": self.model, "fields": dict(self.fields)}
        kind = type(self.model)
        fields = _own_fields(self.model)
        text = f"{kind.__name__}({', '.join(f'{name}={value}' for name, value in fields.items())})"
        return {
            "argument": text,
            "model": f"{kind.__module__}.{kind.__qualname__}",
            "fields": fields,
        }

    @property
    def argument(self) -> str:
        """The text that `parse_contestant` reads this from, if it is of a name."""
        fields = ",".join(f"{name}={value}" for name, value in self.fields.items())
        text = f"{self.model}:{fields}" if fields else f"{self.model}"
        return text if text == self.label else f"{self.label}={text}"


Contestants = Iterable[Contestant | str] | Mapping[str, Contestant | Model | str]
"""Several networks, or a mapping from their labels; a module needs the label of a mapping."""


def _own_fields(module: Any) -> dict[str, Any]:
    """Return what differs from a dataclass's defaults, in the same words in any process."""
    names = [field.name for field in dataclasses.fields(module) if field.init]
    usual = {field.name: field.default for field in dataclasses.fields(module)}
    shown = {name: _shown(getattr(module, name)) for name in names if name not in _OF_LINEN}
    return {name: value for name, value in shown.items() if value != _shown(usual[name])}


_OF_LINEN = ("parent", "name")


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_shown(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ", ".join(f"{name}={each}" for name, each in _own_fields(value).items())
        return f"{type(value).__name__}({fields})"
    return getattr(value, "__name__", type(value).__name__)


def parse_contestant(text: str) -> Contestant:
    """Read `[LABEL=]NAME[:field=value,...]`.

    A value is a Python literal where it reads as one (`8`, `0.5`, `True`, `(1, 1, 1)`), otherwise
    text. Without a label the whole text is the label.

    Raises:
        BadArgument: for another form; for an unknown name or field only when it is built.

    >>> parse_contestant("small=rexnet_100:width_mult=0.5")
    Contestant(label='small', model='rexnet_100', fields={'width_mult': 0.5})
    """
    head, colon, tail = text.partition(":")
    label, equals, model = head.rpartition("=")
    if not model.strip() or (equals and not label.strip()) or (colon and not tail):
        raise BadArgument(f"network: {text!r}; allowed: [LABEL=]NAME[:field=value,...]")
    fields: dict[str, Any] = {}
    # A comma inside a value, as in (1, 1, 1), is followed by no `name=`.
    for item in re.split(r",(?=\s*\w+\s*=)", tail) if tail else []:
        name, equals, value = item.partition("=")
        name, value = name.strip(), value.strip()
        if not (equals and name.isidentifier() and value):
            raise BadArgument(f"network: {item!r} in {text!r}; allowed: field=value")
        if name in fields:
            raise BadArgument(f"network: {name!r} stands twice in {text!r}")
        fields[name] = _literal(value)
    return Contestant(label.strip() or text.strip(), model.strip(), fields)


def parse_contestants(texts: Sequence[str]) -> list[Contestant]:
    """Read several, of which no two may have the same label."""
    return contestants_of([parse_contestant(text) for text in texts])


def contestants_of(given: Contestants) -> list[Contestant]:
    """Return contestants, those given as text read by `parse_contestant`.

    Args:
        given: several, or a mapping from their labels.

    Raises:
        BadArgument: for none, for anything else, for a label that stands twice or cannot be shown.
    """
    allowed = (
        "allowed: several of Contestant or [LABEL=]NAME[:field=value,...], or a mapping from "
        "labels to these or to Linen modules"
    )
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise BadArgument(f"network: {printable(repr(given))[:60]} alone; {allowed}")
    contestants = []
    pairs = given.items() if isinstance(given, Mapping) else ((None, each) for each in given)
    for label, each in pairs:
        if isinstance(each, str):
            each = parse_contestant(each)
        elif isinstance(each, Model) and label is not None:
            each = Contestant(str(label), each)
        if not isinstance(each, Contestant):
            kind = "a module without a label" if isinstance(each, Model) else type(each).__name__
            raise BadArgument(f"network: {kind} {printable(repr(each))[:60]}; {allowed}")
        contestants.append(each if label is None else dataclasses.replace(each, label=str(label)))
    labels = [contestant.label for contestant in contestants]
    if not labels:
        raise BadArgument("network: none given; at least one is needed")
    for label in labels:
        if not label.strip() or not label.isprintable():
            raise BadArgument(f"network: the label {label!r}; allowed: text that can be shown")
        if labels.count(label) > 1:
            raise BadArgument(
                f"network: {label!r} is given twice; write another LABEL=NAME for one"
            )
    return contestants


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # ast's words for deep nesting
        return text
