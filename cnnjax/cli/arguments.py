"""How commands declare their arguments to tyro."""

from pathlib import Path
from typing import Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

__all__ = ["MOST_SEEDS", "REGISTRY", "metavar", "option", "user_path"]

MOST_SEEDS = 1000
"""Nobody waits for more runs of one network."""

REGISTRY = ConstructorRegistry()
"""How a command's arguments are read where tyro's own way is not enough."""


def metavar(name: str) -> Any:
    """Return the annotation that gives an argument a name in the help text.

    Use as `network: Annotated[str, tyro.conf.Positional, metavar("NETWORK")]`.
    """
    return tyro.conf.arg(metavar=name)


def option(name: str) -> Any:
    """Return the annotation of an option whose help text says itself what happens without it.

    Use as `size: Annotated[int | None, option("N")] = None`.
    """
    return tyro.conf.arg(metavar=name, help_behavior_hint="")


def user_path(text: str) -> Path:
    """Return the path that a user wrote, `~` being their home: no shell expands `--out=~/runs`.

    Raises:
        ValueError: for no text, which would be the directory one stands in; for what no system
            takes as a path; for the home of nobody.
    """
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is no path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r}: there is no such home directory") from None


@REGISTRY.primitive_rule
def _paths(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda texts: user_path(texts[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )
