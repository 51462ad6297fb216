"""results.json of a search: made of its journal, checked whole where it is read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from cnnjax.files import checked, replacing
from cnnjax.records.forms import Amount, Count, Provenance
from cnnjax.records.store import RESULTS, Kind, as_json, read

__all__ = ["read_search", "write_search"]


class _Trial(TypedDict):
    number: Count
    scalars: dict[str, float]
    score: float | None
    about: dict[str, Any]


class _Fresh(Provenance):
    seed: Count
    score: float | None
    test: dict[str, Any]
    seconds: Amount


class _Winner(TypedDict):
    number: Count
    scalars: dict[str, float]
    score: float
    fresh: list[_Fresh]


class _Results(TypedDict):
    format: int
    command: str
    settings: dict[str, Any]
    metric: str
    maximize: bool
    trials: list[_Trial]
    importances: dict[str, float]
    winner: _Winner | None


def _check(content: Mapping[str, Any], what: str) -> None:
    checked(content, _Results, what)


_KIND = Kind("search", "trials", _check)


def read_search(directory: str | Path) -> dict[str, Any]:
    """Return what results.json of a search's directory holds; raises as `records.store.read`."""
    return read(directory, _KIND)


def write_search(directory: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write results.json, in place of what an earlier state of the journal made, and return it."""
    whole = as_json({"format": _KIND.format, **content})
    _check(whole, str(directory / RESULTS))
    with replacing(directory / RESULTS) as stream:
        stream.write((json.dumps(whole, indent=1, allow_nan=False) + "\n").encode())
    return whole
