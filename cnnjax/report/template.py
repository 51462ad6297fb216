"""Pages from templates: one look for all of them."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from cnnjax import plot
from cnnjax.errors import missing_extra

__all__ = ["rendered", "value_words"]

# The series of the figures on a dark page: the same hues, light enough to read.
_DARK_SERIES = (
    "#6cb6ff", "#ff9e64", "#4fd1a5", "#f0a6ff", "#e3b341", "#5fd7ea", "#ff8fa8", "#b3adff",
)  # fmt: skip


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """Return a page: a template of this package with its content.

    Raises:
        Failed: if jinja2 is missing.
    """
    try:
        import jinja2
    except ImportError as error:
        raise missing_extra("jinja2", "report") from error
    here = resources.files(__package__)
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"compact": plot.compact, "value_words": value_words}
    look = {"light": plot.COLOR_VARIABLES, "dark_series": _DARK_SERIES}
    return environment.get_template(template).render({**look, **content}) + "\n"


def value_words(value: Any) -> str:
    """Return what `Recipe.to_dict` wrote as a person writes it.

    >>> value_words([{"cnnjax.data.augment.geometry.RandomCrop": {"padding": 4}}])
    'RandomCrop(padding=4)'
    """
    if isinstance(value, Mapping):
        if "function" in value:
            return str(value["function"]).rpartition(".")[2]
        ((name, fields), *others) = list(value.items()) or [("", {})]
        if isinstance(fields, Mapping) and not others and "." in name:
            given = [f"{k}={value_words(v)}" for k, v in fields.items() if k != "(source)"]
            return f"{name.rpartition('.')[2]}({', '.join(given)})"
        return ", ".join(f"{k}: {value_words(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(value_words, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
