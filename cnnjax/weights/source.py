"""Where weights come from: opened once, whatever it is, with what it says of itself."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from cnnjax.errors import BadArgument, Failed, unknown
from cnnjax.files import printable
from cnnjax.models import MODELS
from cnnjax.weights.about import About, about_in, located
from cnnjax.weights.hub import download, is_hub_id
from cnnjax.weights.packages import PACKAGE, package_file
from cnnjax.weights.read import SUFFIXES, opened, split_choice

__all__ = ["Found", "Source", "opened_source", "said_network"]

Source = str | Path | Mapping[str, np.ndarray]
"""What `load_weights` takes."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A source of weights that is open.

    Attributes:
        label: what it is called in messages.
        about: what it says of itself; None where it says nothing.
        read: returns its tensors by name, given the names of the network that they are for, and the
            same as other publishers have them.
    """

    label: str
    about: About | None
    read: Callable[[Collection[str], Sequence[Collection[str]]], dict[str, np.ndarray]]


@contextlib.contextmanager
def opened_source(name: str, source: Source) -> Iterator[Found]:
    """Yield a source of weights, open while the block runs.

    Args:
        name: of the network, on which the file of "package" depends; "" where it is not known.
        source: as `load_weights` takes it.

    Raises:
        BadArgument: for a source that is none.
        Failed: for a damaged file, or a failed download.
    """
    source = located(source)
    if isinstance(source, Mapping):
        yield Found("the state dict", None, lambda expected, alternatives: dict(source))
        return
    with opened(_file(name, source)) as file:
        about = about_in(file.contents.metadata, f"weights: {source}")
        yield Found(printable(str(source)), about, file.read)


def said_network(found: Found) -> str:
    """Return the network that a source says its weights are of; `BadArgument` where it does not."""
    network = "" if found.about is None else found.about.network
    if not network:
        raise BadArgument(
            f"{found.label} does not say which network its weights are of; give the network: "
            "cnnjax.load(NAME, SOURCE), or cnnjax.load(SOURCE, model=...) where it is your own"
        )
    if network not in MODELS:
        raise unknown(f"{found.label}: network", printable(network), MODELS)
    return network


def _file(name: str, source: str | Path) -> str | Path:
    """Return the file that a source stands for, and the prefix in it if any."""
    if source == PACKAGE:
        return package_file(name)
    file, prefix = split_choice(source)
    if Path(file).suffix.lower() in SUFFIXES or os.path.lexists(file):
        return source
    if is_hub_id(file):
        try:
            found = download(file)
        except Failed as error:
            where = "there is no such file or directory here, so it is taken for a hub id"
            raise Failed(f"{error} ({where})") from error
        return found if prefix is None else f"{found}#{prefix}"
    raise BadArgument(
        f"weights: there is no file {printable(str(source))!r}; allowed: a file of weights, such "
        "as weights.safetensors or resnet50.pth, a directory that `cnnjax train` left, a hub id "
        f"like timm/resnet50.a1_in1k, or {PACKAGE!r}"
    )
