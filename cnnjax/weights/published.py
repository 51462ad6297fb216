"""How the references prepare an image for the weights that the table of networks names.

`cnnjax/models/facts.csv` has torchvision's `weights.transforms()` and timm's `get_pretrained_cfg`.
Where timm has no weights, it is what its definition is marked with.
"""

import functools

from cnnjax.data.preprocessing import Preprocessing
from cnnjax.models.facts import read_facts

__all__ = ["published_preprocessing"]


@functools.cache
def published_preprocessing(name: str) -> Preprocessing:
    """Return what the weights of `facts_of(name)` expect; small images are not cut."""
    row = read_facts()[name]
    return Preprocessing(
        int(row["size"]),
        int(row["size"]),
        float(row["crop"]),
        row["interpolation"],
        tuple(map(float, row["mean"].split())),
        tuple(map(float, row["std"].split())),
        row["crop_mode"],
    )
