"""What competes: a network with overrides of its fields, and how a command line writes it."""

import ast
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnjax.errors import BadArgument
from cnnjax.models import build

__all__ = ["Contestant", "contestants_of", "parse_contestant", "parse_contestants"]


@dataclasses.dataclass(frozen=True)
class Contestant:
    """One network of a comparison.

    Attributes:
        label: what the results call it.
        model: its name in `cnnjax.models.MODELS`.
        fields: overrides of the family's fields; not `num_classes`, which the data decide.
    """

    label: str
    model: str
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, num_classes: int) -> Any:
        """Return the module; `BadArgument` for an unknown name or field."""
        if "num_classes" in self.fields:
            raise BadArgument(f"{self.label}: num_classes comes from the data; leave it out")
        return build(self.model, num_classes=num_classes, **self.fields)

    @property
    def argument(self) -> str:
        """The text that `parse_contestant` reads this from."""
        fields = ",".join(f"{name}={value}" for name, value in self.fields.items())
        text = f"{self.model}:{fields}" if fields else self.model
        return text if text == self.label else f"{self.label}={text}"


def parse_contestant(text: str) -> Contestant:
    """Read `[LABEL=]NAME[:field=value,...]`.

    A value is a Python literal where it reads as one (`8`, `0.5`, `True`, `(1, 1, 1)`), otherwise
    text. Without a label the whole text is the label.

    Raises:
        BadArgument: for another form; for an unknown name or field only when it is built.

    >>> parse_contestant("small=mobilenet_v2_cifar:width_mult=0.5")
    Contestant(label='small', model='mobilenet_v2_cifar', fields={'width_mult': 0.5})
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


def contestants_of(
    given: Iterable[Contestant | str] | Mapping[str, Contestant | str],
) -> list[Contestant]:
    """Return contestants, those given as text read by `parse_contestant`.

    Args:
        given: several, or a mapping from their labels.

    Raises:
        BadArgument: for none, for anything else, for a label that stands twice or cannot be shown.
    """
    allowed = "allowed: several of Contestant or [LABEL=]NAME[:field=value,...]"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise BadArgument(f"network: {repr(given)[:60]} alone; {allowed}")
    contestants = []
    for each in given.values() if isinstance(given, Mapping) else given:
        if not isinstance(each, Contestant | str):
            raise BadArgument(f"network: {type(each).__name__} {repr(each)[:60]}; {allowed}")
        contestants.append(parse_contestant(each) if isinstance(each, str) else each)
    if isinstance(given, Mapping):
        pairs = zip(given, contestants, strict=True)
        contestants = [dataclasses.replace(each, label=str(label)) for label, each in pairs]
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
