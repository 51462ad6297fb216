"""What every form of file is read as: named tensors, each of which is read when it is wanted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Contents", "Entry"]


@dataclass(frozen=True)
class Entry:
    """A tensor in a file.

    Attributes:
        mapping: where the dictionary that holds it is: "" for the outermost, or keys that each end
            in a dot, as in "checkpoint.state_dict.".
        name: its key there.
        read: returns its array, which may share memory with others and cannot be written to.
    """

    mapping: str
    name: str
    read: Callable[[], np.ndarray]

    @property
    def path(self) -> str:
        """Where it is in the file, keys and name joined by dots."""
        return self.mapping + self.name

    def behind(self, prefix: str) -> bool:
        """Tell whether its path begins so, and its mapping no deeper than where the prefix ends."""
        return self.path.startswith(prefix) and len(self.mapping) <= len(prefix)


@dataclass(frozen=True)
class Contents:
    """What is in a file of weights.

    Attributes:
        entries: its tensors.
        keys: a few words for each thing at its top, tensors or not, for messages.
        metadata: what a safetensors file says besides its tensors.
    """

    entries: Sequence[Entry]
    keys: Sequence[str]
    metadata: Mapping[str, str] = field(default_factory=dict)
