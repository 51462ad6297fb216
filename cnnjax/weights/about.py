"""What a file of weights says of itself, so that nobody has to remember it."""

import dataclasses
import json
import os
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from cnnjax.data.preprocessing import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import checked, decoded, printable, reading
from cnnjax.weights.read import split_choice

__all__ = [
    "ENTRY",
    "FLOAT32",
    "WEIGHTS",
    "About",
    "about_in",
    "checked_fields",
    "located",
    "read_about",
]

ENTRY = "cnnjax"
"""The entry of a safetensors file's metadata that holds an `About` as JSON."""

WEIGHTS = "weights.safetensors"
"""The file of weights in a directory that a training, or `Classifier.save`, left."""

FLOAT32 = "float32"
"""What a network computes in where nothing is said."""

_DTYPES = (FLOAT32, "bfloat16", "float16", "float64")
_MOST_CLASSES, _LONGEST_NAME = 1_000_000, 1000
_LONGEST_HEADER = 100_000_000  # the format's own bound, in bytes
# What is traced before it is compared with the weights must end: layers, against the usual ones.
_TIMES_USUAL, _LONGEST_TEXT = 64, 10_000


@dataclasses.dataclass(frozen=True)
class About:
    """What belongs to weights besides their numbers.

    Attributes:
        class_names: one for each logit.
        preprocessing: how an image becomes the network's input.
        fields: what `cnnjax.build` was given besides `num_classes`, as JSON has it.
        network: the name that `cnnjax.build` was given; "" where it is not known.
        dtype: what it computes in: "float32", "bfloat16", "float16" or "float64".

    Raises:
        BadArgument: for no class names or more than a million, a name of over 1,000 letters, or
            another dtype.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: str = ""
    dtype: str = FLOAT32

    def __post_init__(self) -> None:
        if not 1 <= len(self.class_names) <= _MOST_CLASSES:
            raise BadArgument(
                f"class_names: received {len(self.class_names)}, allowed: 1..{_MOST_CLASSES}"
            )
        if max(map(len, (*self.class_names, self.network))) > _LONGEST_NAME:
            raise BadArgument(f"class_names, network: allowed: {_LONGEST_NAME} letters each")
        if self.dtype not in _DTYPES:
            raise BadArgument(f"dtype: received {self.dtype[:20]!r}, allowed: {', '.join(_DTYPES)}")

    def to_json(self) -> str:
        """Return what `read_about` reads; `BadArgument` where JSON cannot hold a field."""
        try:
            return json.dumps(dataclasses.asdict(self), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BadArgument(
                f"about: {error}; allowed: what JSON can hold, such as numbers, text and lists"
            ) from error


class _Written(typing.TypedDict):
    class_names: tuple[str, ...]
    preprocessing: dict[str, Any]
    fields: dict[str, Any]
    network: typing.NotRequired[str]
    dtype: typing.NotRequired[str]


def located(source: Any) -> Any:
    """Return the file of weights in a directory that a training left; another source as it is.

    A user's home is found in both, which no shell does in `--weights=~/FILE`.
    """
    if not isinstance(source, str | Path):
        return source
    if str(source).startswith("~"):
        source = os.path.expanduser(source)
    file = Path(source) / WEIGHTS
    return file if file.is_file() else source


def read_about(source: Any) -> About | None:
    """Return what `save_weights` was told of the weights in a file; None where there is nothing.

    `source` is whatever `load_weights` takes. Raises `Failed` for an entry that cannot be read.
    """
    source = located(source)
    if not isinstance(source, str | Path):
        return None
    file, _ = split_choice(source)
    if not os.path.isfile(file):
        return None
    with reading(file, "weights") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= _LONGEST_HEADER or (start := stream.read(1)) != b"{":
            return None  # no safetensors file, whatever its name
        header = start + stream.read(length - 1)
    what = f"weights: {source}"
    metadata = decoded(header, dict[str, Any], what).get("__metadata__", {})
    return about_in(checked(metadata, dict[str, str], what), what)


def about_in(metadata: Mapping[str, str], what: str) -> About | None:
    """Return what the metadata of a safetensors file say of the weights; None for nothing.

    Args:
        metadata: all of the file's entries.
        what: the file, for the error.

    Raises:
        Failed: for an entry that is no `About`, or has a value outside its range.
    """
    if ENTRY not in metadata:
        return None
    found = decoded(metadata[ENTRY], _Written, what)
    how = dict(found["preprocessing"])
    if "size" in how:  # version 0.1.0 knew squares only
        how["height"] = how["width"] = how.pop("size")
    preprocessing = checked(how, Preprocessing, what)
    try:
        more = {name: found[name] for name in ("network", "dtype") if name in found}
        return About(found["class_names"], preprocessing, found["fields"], **more)
    except BadArgument as error:
        raise Failed(f"{printable(what)}: damaged ({error})") from error


def checked_fields(about: About, usual: Any, what: str) -> dict[str, Any]:
    """Return the fields that a file names, each of the type that the network's class declares.

    Args:
        about: what the file says; all its fields are the network's.
        usual: the network that the name alone builds.
        what: the file, for the error.

    Raises:
        Failed: for a value of another type, or one that no network has.
    """
    hints = typing.get_type_hints(type(usual))
    fields = {}
    for name, value in about.fields.items():
        where = printable(f"{what}: field {name!r} of the network")
        try:
            if hints[name] is Any or not _is_possible(value, getattr(usual, name)):
                raise Failed(f"{where}: {printable(repr(value)[:80])} is not possible")
            fields[name] = msgspec.convert(value, type=hints[name])
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise Failed(f"{where}: {printable(str(error))}") from error
    return fields


def _is_possible(value: Any, usual: Any) -> bool:
    """Tell whether a network with this field can be built: numbers may be layers, and text too."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return sum(_numbers(value)) <= _TIMES_USUAL * max(_TIMES_USUAL, sum(_numbers(usual)))


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list | tuple):
        return [number for each in value for number in _numbers(each)]
    return [abs(value)] if isinstance(value, int | float) else [1]
