"""Whether two runs are the same: what makes a run this run, and where another differs from it."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from cnnjax.data.source import Source
from cnnjax.errors import BadArgument
from cnnjax.files import printable
from cnnjax.train.hyper import Hyper
from cnnjax.train.identity import describe, fingerprint
from cnnjax.train.recipe import Recipe
from cnnjax.typing import Key

__all__ = ["check_same", "identity"]


def identity(
    model: Any,
    recipe: Recipe,
    hypers: Sequence[Hyper],
    keys: Sequence[Key],
    train_set: Source,
    validation: Source | None,
    start: dict[str, Any],
) -> dict[str, Any]:
    """Return what makes a run this run, as JSON: equal for equal runs in any process.

    `start` is what it starts from besides the key: arrays by name, `{}` for none. Hypers and keys
    are those of each of several runs, or of one.

    Raises:
        BadArgument: for a model, or a value of the recipe, that `describe` refuses.
    """
    scalars = [
        describe(dataclasses.replace(hyper, **hyper.to_dict()), where="hyper") for hyper in hypers
    ]
    drawn = [[str(jax.random.key_impl(key)), jax.random.key_data(key).tolist()] for key in keys]
    return {
        "model": describe(model),
        "recipe": describe(recipe, where="recipe"),
        "hyper": scalars if len(scalars) > 1 else scalars[0],
        "key": drawn if len(drawn) > 1 else drawn[0],
        "train_set": train_set.fingerprint(),
        "validation": None if validation is None else validation.fingerprint(),
        "start": fingerprint(start) if start else None,
    }


def check_same(saved: Any, run: dict[str, Any], path: Path) -> None:
    """Raise `BadArgument`, naming the first place that differs, unless two identities are equal."""
    place, there, here = _difference(saved, json.loads(json.dumps(run)), "")
    if there != here:
        found = printable(f"{place.removeprefix('.')} is {there}, not {here}")
        raise BadArgument(
            f"checkpoint_dir: {printable(str(path))} belongs to another run: its {found}; choose "
            "another directory or remove it"
        )


def _difference(there: Any, here: Any, place: str) -> tuple[str, str, str]:
    """Return the first place where two JSON values differ, and what stands there as text.

    As text, because to Python 1, 1.0 and True are equal.
    """
    if isinstance(there, dict) and isinstance(here, dict) and list(there) == list(here):
        pairs = [(f".{name}", there[name], here[name]) for name in here]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(f"[{i}]", *each) for i, each in enumerate(zip(there, here, strict=True))]
    else:
        return place, json.dumps(there), json.dumps(here)
    for name, one, other in pairs:
        if json.dumps(one) != json.dumps(other):
            return _difference(one, other, place + name)
    return place, "", ""
