"""What is known of each network: counts, published accuracy, and the weights that have it.

`facts.csv` has a row for each network; `tests/models/make_facts.py` writes it from the references.
It is read when a fact is first asked for.
"""

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnjax.errors import unknown

__all__ = ["Facts", "facts_of", "read_facts"]


@dataclass(frozen=True)
class Facts:
    """What is known of a network as `build` returns it.

    Attributes:
        parameters: learnable scalars.
        batch_statistics: running means and variances.
        multiply_adds: those of convolutions and matrix products for one image of `input_size`
            pixels, as `cnnjax.analysis.count` counts them.
        input_size: height and width of an image in pixels.
        channels: of an image.
        reference: whose definition it is: "torchvision", "timm", or a paper.
        accuracy: the published top-1 in percent; None where none is known.
        accuracy_source: the weights that have it, or the paper or repository that reports it.
        dataset: what the accuracy was measured on.
        weights: the name that the reference gives to its weights; None where there are none.
    """

    parameters: int
    batch_statistics: int
    multiply_adds: int
    input_size: int
    channels: int
    reference: str
    accuracy: float | None
    accuracy_source: str | None
    dataset: str
    weights: str | None


def facts_of(network: str) -> Facts:
    """Return what is known of the network of that name.

    Raises:
        BadArgument: for an unknown network.

    >>> facts_of("resnet18").multiply_adds
    1814073344
    """
    if network not in read_facts():
        raise unknown("network", network, read_facts())
    row = read_facts()[network]
    return Facts(
        parameters=int(row["parameters"]),
        batch_statistics=int(row["batch_statistics"]),
        multiply_adds=int(row["multiply_adds"]),
        input_size=int(row["input_size"]),
        channels=int(row["channels"]),
        reference=row["reference"],
        accuracy=float(row["accuracy"]) if row["accuracy"] else None,
        accuracy_source=row["accuracy_source"] or None,
        dataset=row["dataset"],
        weights=row["weights"] or None,
    )


@functools.cache
def read_facts() -> Mapping[str, Mapping[str, str]]:
    """Return the rows of `facts.csv` by network, as they are written."""
    with open(Path(__file__).with_suffix(".csv"), newline="") as lines:
        return {row["network"]: row for row in csv.DictReader(lines)}
