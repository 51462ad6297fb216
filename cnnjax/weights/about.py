"""What a file of weights says of itself, so that nobody has to remember it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnjax.errors import Failed
from cnnjax.weights.published import Preprocessing

__all__ = ["ENTRY", "About", "read_about"]

ENTRY = "cnnjax"
"""The entry of a safetensors file's metadata that holds an `About` as JSON."""


@dataclasses.dataclass(frozen=True)
class About:
    """What belongs to weights besides their numbers.

    Attributes:
        class_names: one for each logit.
        preprocessing: how an image becomes the network's input.
        fields: what `cnnjax.build` was given besides `num_classes`, as JSON has it.
    """

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """Return what `read_about` reads."""
        return json.dumps(dataclasses.asdict(self))


def read_about(source: Any) -> About | None:
    """Return what `save_weights` was told of the weights in a file; None where there is nothing.

    `source` is whatever `load_weights` takes. Raises `Failed` for an entry that cannot be read.
    """
    if not isinstance(source, str | Path) or Path(source).suffix != ".safetensors":
        return None
    if not Path(source).is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source, framework="numpy") as file:
            text = (file.metadata() or {}).get(ENTRY)
        if text is None:
            return None
        found = json.loads(text)
        how = found["preprocessing"]
        return About(
            class_names=tuple(map(str, found["class_names"])),
            preprocessing=Preprocessing(
                **{**how, "mean": tuple(how["mean"]), "std": tuple(how["std"])}
            ),
            fields=dict(found["fields"]),
        )
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"{source}: damaged, or written by another version ({error!r})") from error
