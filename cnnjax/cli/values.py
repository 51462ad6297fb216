"""How a command line writes the values of a recipe: `NAME[:field=value,...]`, several by commas.

`crop:padding=4,flip` is two augmentations: what follows a comma is a field where the value before
it has one of that name, else the next value.
"""

import ast
import collections.abc
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, get_origin, get_type_hints

from cnnjax.data.augment import (
    AlternatingFlip,
    ColorJitter,
    CutMix,
    Cutout,
    GaussianBlur,
    HorizontalFlip,
    MixUp,
    Normalize,
    OneOf,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomGray,
    RandomResizedCrop,
    TrivialAugment,
    VerticalFlip,
)
from cnnjax.errors import BadArgument, unknown
from cnnjax.train import (
    EMA,
    LAMB,
    SAM,
    SGD,
    SWA,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    Constant,
    Cosine,
    CrammerSinger,
    CrossEntropy,
    Exponential,
    Focal,
    Group,
    Lion,
    Lookahead,
    OneCycle,
    OneVsAll,
    PerClassAccuracy,
    Polynomial,
    RMSProp,
    Steps,
    TopK,
)
from cnnjax.train.optimizers import everything, kernels
from cnnjax.tune import TPE, Choice, Grid, LogUniform, Random, Sobol, Uniform

__all__ = [
    "READERS",
    "VALUES",
    "read_groups",
    "read_metrics",
    "read_space",
    "read_value",
    "read_values",
]

VALUES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "augment": {
        "crop": RandomCrop,
        "resized_crop": RandomResizedCrop,
        "flip": HorizontalFlip,
        "alternating_flip": AlternatingFlip,
        "vertical_flip": VerticalFlip,
        "color": ColorJitter,
        "gray": RandomGray,
        "blur": GaussianBlur,
        "randaugment": RandAugment,
        "trivialaugment": TrivialAugment,
        "normalize": Normalize,
        "cutout": Cutout,
        "erase": RandomErasing,
        "mixup": MixUp,
        "cutmix": CutMix,
        "one_of": OneOf,
    },
    "loss": {
        "cross_entropy": CrossEntropy,
        "crammer_singer": CrammerSinger,
        "one_vs_all": OneVsAll,
        "binary": BinaryCrossEntropy,
        "focal": Focal,
    },
    "optimizer": {
        "sgd": SGD,
        "adam": Adam,
        "adamw": AdamW,
        "lamb": LAMB,
        "lion": Lion,
        "rmsprop": RMSProp,
        "sam": SAM,
    },
    "schedule": {
        "onecycle": OneCycle,
        "cosine": Cosine,
        "steps": Steps,
        "constant": Constant,
        "polynomial": Polynomial,
        "exponential": Exponential,
    },
    "metrics": {"top_k": TopK, "per_class": PerClassAccuracy},
    "average": {"ema": EMA, "swa": SWA, "lookahead": Lookahead},
    "over": {"uniform": Uniform, "loguniform": LogUniform, "choice": Choice},
    "design": {"grid": Grid, "random": Random, "sobol": Sobol, "tpe": TPE},
}
"""For each field of `Recipe` that has values, and for two arguments of `tune`: their names."""

_FUNCTIONS = {"kernels": kernels, "everything": everything}


def read_value(field: str, text: str) -> Any:
    """Return the one value that a text writes; `BadArgument` for another form, name or field.

    >>> read_value("schedule", "onecycle:warmup=0.1")
    OneCycle(warmup=0.1)
    """
    values = read_values(field, text)
    if len(values) != 1:
        raise BadArgument(f"{field}: received {text!r}, allowed: one of {', '.join(VALUES[field])}")
    return values[0]


def read_values(field: str, text: str) -> tuple[Any, ...]:
    """Return the values that a text writes, none for an empty one; raises as `read_value`.

    >>> read_values("augment", "crop:padding=4,flip")
    (RandomCrop(padding=4, border='zeros'), HorizontalFlip())
    """
    return tuple(value for _, value in _items(field, text, labels=False))


def read_metrics(text: str) -> dict[str, Any]:
    """Return the metrics that `LABEL=NAME[:field=value,...]`, several by commas, writes.

    >>> read_metrics("top5=top_k:k=5,recall=per_class")
    {'top5': TopK(k=5), 'recall': PerClassAccuracy()}
    """
    return _labelled("metrics", text)


def read_space(text: str) -> dict[str, Any]:
    """Return the space that `SCALAR=NAME:field=value,...`, several by commas, writes.

    >>> read_space("learning_rate=loguniform:low=0.01,high=1,momentum=choice:values=(0.8,0.9)")
    {'learning_rate': LogUniform(low=0.01, high=1), 'momentum': Choice(values=(0.8, 0.9))}
    """
    return _labelled("over", text)


def read_groups(text: str) -> tuple[Group, ...]:
    """Return the groups that `PATTERN=RATE`, several by commas, writes.

    >>> read_groups("head/*=1,*=backbone_rate")
    (Group(pattern='head/*', rate=1), Group(pattern='*', rate='backbone_rate'))
    """
    groups = []
    for item in filter(None, text.split(",")):
        pattern, equals, rate = item.partition("=")
        if not equals:
            raise BadArgument(f"groups: received {item!r}, allowed: PATTERN=RATE")
        groups.append(Group(pattern.strip(), _literal(rate)))
    return tuple(groups)


READERS: Mapping[str, Callable[[str], Any]] = {
    "augment": functools.partial(read_values, "augment"),
    "metrics": read_metrics,
    "groups": read_groups,
    **{
        name: functools.partial(read_value, name)
        for name in ("loss", "optimizer", "schedule", "average")
    },
}
"""For each field of `Recipe` that is no number: what reads it from a command line."""


def _labelled(field: str, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for label, value in _items(field, text, labels=True):
        if label in found:
            raise BadArgument(f"{field}: {label!r} stands twice in {text!r}")
        found[label] = value
    return found


def _items(field: str, text: str, *, labels: bool) -> list[tuple[str, Any]]:
    table = VALUES[field]
    items: list[tuple[str, str, dict[str, str]]] = []
    for part in _split(text):
        head, colon, rest = part.partition(":")
        name, equals, value = part.partition("=")
        if items and equals and not (colon and part.index(":") < part.index("=")):
            fields = {each.name for each in dataclasses.fields(table[items[-1][1]])}  # type: ignore[arg-type]
            if name.strip() in fields or not labels:
                items[-1][2][name.strip()] = value.strip()
                continue
        label, equals, known = head.rpartition("=")
        if bool(equals) != labels or not known.strip() or (colon and not rest):
            form = "LABEL=NAME[:field=value,...]" if labels else "NAME[:field=value,...]"
            raise BadArgument(f"{field}: received {part!r}, allowed: {form}")
        if known.strip() not in table:
            raise unknown(field, known.strip(), table)
        items.append((label.strip(), known.strip(), {}))
        if colon:
            name, equals, value = rest.partition("=")
            if not equals:
                raise BadArgument(f"{field}: received {rest!r} in {part!r}, allowed: field=value")
            items[-1][2][name.strip()] = value.strip()
    return [(label, _made(field, name, given)) for label, name, given in items]


def _split(text: str) -> list[str]:
    """Split at commas outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _made(field: str, name: str, given: Mapping[str, str]) -> Any:
    kind: Any = VALUES[field][name]
    hints = get_type_hints(kind)
    fields = [each.name for each in dataclasses.fields(kind)]
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in fields:
            raise (
                unknown(f"{field}: {name}", key, fields)
                if fields
                else BadArgument(f"{field}: {name} has no fields, received {key!r}")
            )
        if get_origin(hints[key]) is collections.abc.Callable:
            if text not in _FUNCTIONS:
                raise unknown(f"{field}: {name}: {key}", text, _FUNCTIONS)
            values[key] = _FUNCTIONS[text]
        elif key == "choices":
            values[key] = read_values(field, text.strip().removeprefix("(").removesuffix(")"))
        else:
            values[key] = _literal(text)
            if not isinstance(values[key], (hints[key], int) if hints[key] is float else object):
                raise BadArgument(f"{field}: {name}: {key} is {text!r}, allowed: a number")
            if hints[key] is bool and not isinstance(values[key], bool):
                raise BadArgument(f"{field}: {name}: {key} is {text!r}, allowed: True, False")
    missing = [
        each.name
        for each in dataclasses.fields(kind)
        if each.default is each.default_factory is dataclasses.MISSING and each.name not in values
    ]
    if missing:
        form = ",".join(f"{each}=..." for each in missing)
        raise BadArgument(f"{field}: {name} lacks {' and '.join(missing)}, as in {name}:{form}")
    return kind(**values)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
