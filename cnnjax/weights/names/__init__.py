"""What publishers call the variables of our networks: one file a source, each from our names.

Our modules have one tree of names for an architecture, whoever published it; it is timm's where
timm has the network. A source has a table for a family that it names otherwise: a function from all
names of a network, as `torch_names` makes them, to the source's. Names without a place in the table
stay as they are. Versions of cnnjax that had two classes for an architecture wrote files with the
names of the network's reference: these are the same tables.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from cnnjax.models import FAMILIES, MODELS, facts_of
from cnnjax.weights.names import lukemelas, torchvision

__all__ = ["SOURCES", "names_of", "publisher", "renamed", "shapes_of", "source_of"]

Table = Callable[[Collection[str]], Mapping[str, str]]

SOURCES: Mapping[str, Mapping[str, Table]] = {
    "torchvision": torchvision.TABLES,
    "lukemelas": lukemelas.TABLES,
}
"""Their tables, by source and by family."""


def names_of(source: str, network: str, ours: Collection[str]) -> dict[str, str]:
    """Return what `source` calls each of our names; "" and sources without a table call them so.

    >>> names_of("torchvision", "convnext_tiny", ["stages.1.downsample.0.bias"])
    {'stages.1.downsample.0.bias': 'features.2.0.bias'}
    """
    table = SOURCES.get(source, {}).get(FAMILIES.get(network, ""))
    there = {} if table is None else table(ours)
    return {name: there.get(name, name) for name in ours}


def source_of(network: str, found: Collection[str], ours: Collection[str]) -> str:
    """Return the source that calls most of our names as those found are called; "" for ours.

    Args:
        network: the name that `cnnjax.build` was given.
        found: the names in a file.
        ours: the names of its variables here.
    """
    known, found = ["", *SOURCES], set(found)
    return max(known, key=lambda each: len(found & set(names_of(each, network, ours).values())))


def publisher(network: str) -> str:
    """Return the source in whose names the network was published; "" where those are ours."""
    reference = facts_of(network).reference if network in MODELS else ""
    return reference if reference in SOURCES else ""


def renamed(state: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return arrays under other names, and in the shape that these have; others stay."""
    return {(new := names.get(old, old)): _reshaped(old, new, a) for old, a in state.items()}


def shapes_of(
    shapes: Mapping[str, tuple[int, ...]], names: Mapping[str, str]
) -> dict[str, tuple[int, ...]]:
    """Return shapes under other names, as `renamed` does arrays."""
    return {(new := names.get(old, old)): _shape(old, new, s) for old, s in shapes.items()}


def _reshaped(old: str, new: str, array: np.ndarray) -> np.ndarray:
    return array.reshape(_shape(old, new, array.shape))


def _shape(old: str, new: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape under a new name: torchvision keeps `[C]` as a factor of `[B, C, H, W]`."""
    was, becomes = old.endswith(torchvision.FACTOR), new.endswith(torchvision.FACTOR)
    if becomes and not was and len(shape) == 1:
        return (*shape, 1, 1)
    return shape[:1] if was and not becomes and shape[1:] == (1, 1) else shape
