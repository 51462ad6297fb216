"""What results.json and the arrays beside it must be: checked once, where they are read."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import numpy as np
from msgspec import Meta

from cnnjax.errors import Failed
from cnnjax.files import checked, printable
from cnnjax.records.forms import Amount, Count, Positive, Provenance

__all__ = ["FORMAT", "SEEDS", "check_arrays", "check_results"]

FORMAT = 1

SEEDS = 2**32
"""How many different keys `jax.random.key` makes: seeds count from 0 to one less."""

_Seed = Annotated[int, Meta(ge=0, lt=SEEDS)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Loss = float | None
"""Null where it was not finite."""
_Metric = float | None | list[float | None]


class _Sizes(TypedDict):
    train: Positive
    validation: NotRequired[Positive]
    test: Positive


class _Fingerprints(TypedDict):
    train: str
    validation: NotRequired[str]
    test: str


class _Data(TypedDict):
    name: str
    source: str
    image_shape: tuple[Positive, Positive, Positive]
    class_names: Annotated[list[str], Meta(min_length=1)]
    validation_fraction: _Share
    sizes: _Sizes
    fingerprints: _Fingerprints
    mean: list[float]
    std: list[float]


class _RecipeFields(TypedDict):
    epochs: Positive


class _Network(TypedDict):
    argument: str
    model: str
    fields: dict[str, Any]
    definition: Any
    parameters: Count
    batch_statistics: Count
    multiply_adds: Count


class _Epoch(TypedDict):
    epoch: Positive
    train_loss: _Loss
    train_accuracy: _Share
    validation_loss: NotRequired[_Loss]
    validation_accuracy: NotRequired[_Share]
    seconds: Amount
    images_per_second: Amount


class _Ended(Provenance):
    network: str
    seed: _Seed


class _FinishedRun(_Ended):
    test_accuracy: _Share
    test_loss: _Loss
    # Version 0.1.0 had no others than those two.
    test_metrics: NotRequired[dict[str, _Metric]]
    history: list[_Epoch]
    train_seconds: Amount
    compile_seconds: Amount
    finished: str
    parameters: Count
    multiply_adds: Count
    # A name that cannot lead out of the directory.
    arrays: Annotated[str, Meta(pattern=r"^runs/[A-Za-z0-9._-]+\.npz\Z")]
    # Version 0.1.0 wrote none.
    sha256: NotRequired[Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]]


class _FailedRun(_Ended):
    step: Count
    epoch: Positive
    error: str


class _Results(TypedDict):
    format: Literal[1]
    command: str
    commands: list[str]
    data: _Data
    recipe: _RecipeFields
    hyper: dict[str, float]
    networks: dict[str, _Network]
    runs: list[_FinishedRun]
    failures: list[_FailedRun]


def check_results(content: Mapping[str, Any], what: str) -> None:
    """Raise `Failed`, with the first place that is wrong, unless results are whole.

    Args:
        content: of results.json.
        what: a few words for the error, such as the file's path.
    """
    checked(content, _Results, what)
    for place, words in _contradictions(content):
        raise Failed(f"{printable(what)}: damaged: {printable(place)} {printable(words)}")


def _contradictions(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what no single field is to blame for: where, and in words."""
    data, found = content["data"], []
    channels = data["image_shape"][2]
    found += [
        (f"data.{name}", f"has not one number for each of {channels} channels")
        for name in ("mean", "std")
        if len(data[name]) != channels
    ]
    ended: set[tuple[str, int]] = set()
    files: set[str] = set()
    for kind in ("runs", "failures"):
        for index, entry in enumerate(content[kind]):
            place, run = f"{kind}[{index}]", (entry["network"], entry["seed"])
            if entry["network"] not in content["networks"]:
                found.append((place, f"is of {entry['network']!r}, which is none of the networks"))
            if run in ended or entry.get("arrays") in files:
                found.append((place, "or its file has another entry"))
            ended.add(run)
            if kind == "runs":
                files.add(entry["arrays"])
                found += [(place, words) for words in _bad_history(entry["history"], content)]
    return found


def _bad_history(history: list[dict[str, Any]], content: Mapping[str, Any]) -> list[str]:
    epochs, validated = content["recipe"]["epochs"], "validation" in content["data"]["sizes"]
    numbers = [entry["epoch"] for entry in history]
    if len(numbers) != epochs or numbers != sorted(set(numbers)) or max(numbers) != epochs:
        return [f"has no entry of history for each of the {epochs} epochs"]
    if any(("validation_accuracy" in entry) != validated for entry in history):
        return ["was evaluated on other sets than the experiment has"]
    return []


def check_arrays(arrays: Mapping[str, np.ndarray], data: Mapping[str, Any], what: str) -> None:
    """Raise `Failed` unless arrays are those of a run.

    `predicted` `[N]` integers in 0..classes-1 and `confidence` `[N]` floats in 0..1, for the N
    test images; where the network begins with a convolution also `filters_before` and
    `filters_after` `[kh, kw, C, O]` floats.

    Args:
        arrays: by name.
        data: of the results.
        what: a few words for the error, such as the file's path.
    """
    filters = {"filters_before", "filters_after"}
    if not {"predicted", "confidence"} <= set(arrays) or len(filters & set(arrays)) == 1:
        raise Failed(f"{printable(what)}: damaged: an array is missing")
    number, classes = data["sizes"]["test"], len(data["class_names"])
    for name, values in arrays.items():
        if name in filters:
            sound = values.dtype.kind == "f" and values.ndim == 4 and values.size > 0
            sound = sound and values.shape == arrays["filters_before"].shape
            sound = sound and bool(np.isfinite(values).all())
        elif name == "predicted":
            sound = values.dtype.kind in "iu" and values.shape == (number,)
            sound = sound and values.min() >= 0 and values.max() < classes
        else:
            sound = name == "confidence" and values.dtype.kind == "f"
            sound = sound and values.shape == (number,)
            sound = sound and bool(((values >= 0) & (values <= 1)).all())
        if not sound:
            raise Failed(
                f"{printable(what)}: damaged: {printable(name)} is {values.dtype} "
                f"{list(values.shape)} and not what a run on {number:,} images leaves"
            )
