"""How commands declare their arguments to tyro."""

from typing import Any

import tyro

__all__ = ["metavar", "option"]


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
