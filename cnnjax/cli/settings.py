"""The options of a training run, which several commands share: the fields of `Recipe`, `Hyper`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import tyro
from docstring_parser import parse

from cnnjax.cli.arguments import metavar, user_path
from cnnjax.cli.values import READERS, VALUES
from cnnjax.errors import BadArgument, unknown
from cnnjax.files import decoded, read_bytes
from cnnjax.train import RECIPES, CrossEntropy, Hyper, NamedRecipe, Recipe

__all__ = ["Settings", "SharedSettings"]

_MOST_BYTES = 2**26  # of a file with a recipe; a run.json has the history as well


def _options() -> list[tuple[str, Any, Any]]:
    """Return an option for each field of a recipe and each scalar, with its own docstring's words.

    Its name, its type with those words, and None, which is what it is where it is not given.
    """
    made: list[tuple[str, Any, Any]] = []
    for cls in (Recipe, Hyper):
        words = {each.arg_name: each.description for each in parse(cls.__doc__ or "").params}
        for field in dataclasses.fields(cls):
            help_text = " ".join((words[field.name] or "").replace("`", "").split())
            if field.name in VALUES:
                help_text += f" Of: {', '.join(VALUES[field.name])}."
            kind: Any = dict.fromkeys(("epochs", "batch_size", "microbatches"), int).get(
                field.name, float
            )
            kind = str if field.name in READERS else kind
            shown = {str: "VALUE", int: "N", float: "NUMBER"}[kind]
            argument = tyro.conf.arg(help=help_text, metavar=shown, help_behavior_hint="")
            made.append((field.name, Annotated[kind | None, argument], None))
    return made


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """Training settings.

    Attributes:
        recipe: default, mnist or cifar10, or a JSON file with a recipe, such as the run.json of an
            earlier run: what all settings below are where not given.
    """

    recipe: Annotated[str, metavar("NAME|FILE")] = "default"

    def chosen(self) -> tuple[Recipe, Hyper]:
        """Return that recipe and its scalars, with what else was given.

        Raises `BadArgument` for an unknown name, and for what `Recipe` and `Hyper` refuse.
        """
        named = _named(self.recipe)
        given = {name: value for name, value in vars(self).items() if value is not None}
        read = {
            name: READERS[name](value) if name in READERS else value
            for name, value in given.items()
        }
        scalars = {field.name for field in dataclasses.fields(named.hyper)}
        settings = {
            name: value for name, value in read.items() if name != "recipe" and name not in scalars
        }
        recipe = dataclasses.replace(named.recipe, **settings)
        hyper = named.hyper
        if "loss" in read and not isinstance(recipe.loss, CrossEntropy):
            # The recipe's own smoothing is for its own loss; a margin is not smoothed unasked.
            hyper = dataclasses.replace(hyper, label_smoothing=0.0)
        return recipe, dataclasses.replace(
            hyper, **{name: value for name, value in read.items() if name in scalars}
        )


Settings: Any = dataclasses.make_dataclass(
    "Settings", _options(), bases=(_Chosen,), frozen=True, namespace={"__doc__": _Chosen.__doc__}
)
"""The name of a recipe, and every field of `Recipe` and `Hyper`, None where it is not given."""

SharedSettings = Annotated[Settings, tyro.conf.OmitArgPrefixes]
"""The annotation of a command's argument that has all these options."""


def _named(text: str) -> NamedRecipe:
    if text in RECIPES:
        return RECIPES[text]
    path = user_path(text)
    if path.suffix != ".json" and not path.exists():
        raise unknown("recipe", text, RECIPES)
    return _from_file(path)


def _from_file(path: Path) -> NamedRecipe:
    """Return the recipe and the scalars of a JSON file, `{"recipe": {...}, "hyper": {...}}`."""
    content = read_bytes(path, "recipe", at_most=_MOST_BYTES)
    found = decoded(content, dict[str, Any], str(path))
    recipe, hyper = found.get("recipe"), found.get("hyper", {})
    if not (isinstance(recipe, dict) and isinstance(hyper, dict)):
        raise BadArgument(
            f"recipe: {path} has none; allowed: {json.dumps({'recipe': {}, 'hyper': {}})}"
        )
    return NamedRecipe(Recipe.from_dict(recipe), Hyper.from_dict(hyper))
