"""What results.json of a benchmark must be: checked once, where it is read."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from cnnjax.errors import Failed
from cnnjax.files import checked, printable
from cnnjax.records.forms import Commit, Count, Hardware, Positive

__all__ = ["FORMAT", "check_results"]

FORMAT = 1

# From a nanosecond to thirty years: every ratio of two of them is a number.
_Seconds = Annotated[float, Meta(ge=1e-9, le=1e9)]
_Amount = Annotated[float, Meta(ge=0, le=1e9)]
_Rate = Annotated[float, Meta(ge=1, le=1e24)]
_Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+\Z")]

_MODE = re.compile(r"(train|forward|compile|scan [1-9]\d*|seeds [1-9]\d*)\Z")


class _About(TypedDict):
    network: _Name
    batch: Positive
    image_size: Positive
    parameters: Count
    multiply_adds: Count
    # Of a module; a network by name has none.
    definition: NotRequired[Any]


class _Entry(TypedDict):
    date: str
    command: str
    commit: Commit | None
    asked: list[str]
    earlier: NotRequired[list[dict[str, Any]]]


class _Taken(TypedDict):
    seconds: Annotated[list[_Seconds], Meta(min_length=1)]
    warm_up: list[_Seconds]
    n: Positive
    peak_bytes: NotRequired[Count | None]
    peak_rss_bytes: NotRequired[Count | None]


class _Steps(_Entry):
    images: Positive
    operations: Count
    matmul_flops: _Rate
    peers: Annotated[dict[_Name, _Taken], Meta(min_length=1)]
    absent: NotRequired[dict[_Name, str]]


class _Times(TypedDict):
    lower_seconds: _Amount
    compile_seconds: _Amount
    cpu_seconds: _Amount


class _Compiled(TypedDict):
    cold: _Times
    warm: _Times
    peak_bytes: Count | None
    peak_rss_bytes: NotRequired[Count | None]


class _Compile(_Entry):
    peers: Annotated[dict[_Name, _Compiled], Meta(min_length=1)]


class _Results(TypedDict):
    format: Literal[1]
    versions: dict[str, str]
    hardware: Hardware
    cases: dict[str, dict[str, Any]]


def check_results(content: Mapping[str, Any], what: str) -> None:
    """Raise `Failed`, with the first place that is wrong, unless results are whole.

    Args:
        content: of results.json.
        what: a few words for the error, such as the file's path.
    """
    checked(content, _Results, what)
    for label, case in content["cases"].items():
        place = f"{what}, {label!r}"
        checked(case, _About, place)
        for mode in case.keys() - _About.__annotations__.keys():
            if not _MODE.match(mode):
                raise Failed(f"{printable(place)}: damaged: there is no mode {mode!r}")
            inside = f"{place}, {mode}"
            checked(case[mode], _Compile if mode == "compile" else _Steps, inside)
            if mode != "compile":
                _check_rounds(case[mode]["peers"], inside)


def _check_rounds(peers: Mapping[str, Any], place: str) -> None:
    """Raise `Failed` unless each peer took one step, or as many as all the others."""
    numbers = {len(taken["seconds"]) for taken in peers.values()}
    if len(numbers - {1}) > 1 or any(t["n"] != len(t["seconds"]) for t in peers.values()):
        raise Failed(f"{printable(place)}: damaged: its peers' seconds are of different rounds")
