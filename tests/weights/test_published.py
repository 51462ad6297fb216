import csv
from pathlib import Path

import pytest

from cnnjax.models import MODELS
from cnnjax.weights import preprocessing_of


def test_images_are_prepared_as_the_references_say():
    """`reference_preprocessing.csv`: torchvision 0.28's `weights.transforms()`, timm 1.0.31's
    `get_pretrained_cfg`, for the weights named in the table of networks."""
    names = set()
    with open(Path(__file__).parent / "reference_preprocessing.csv", newline="") as lines:
        for row in csv.DictReader(lines):
            names.add(name := row["network"])
            ours = preprocessing_of(name)
            assert (name, MODELS[name].weights or "") == (name, row["weights"])
            assert (name, ours.size, ours.interpolation) == (
                name,
                int(row["size"]),
                row["interpolation"],
            )
            numbers = [row["crop"], *row["mean"].split(), *row["std"].split()]
            got = [ours.crop, *ours.mean, *ours.std]
            assert got == pytest.approx([*map(float, numbers)], rel=1e-5), name
    assert names == {n for n, m in MODELS.items() if m.reference in ("torchvision", "timm")}
