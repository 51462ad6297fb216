"""The table of preprocessing is the references': `make_published.py --check` compares them."""

import csv
from pathlib import Path

import pytest

import cnnjax
from cnnjax.data.photographs import INTERPOLATIONS
from cnnjax.models import MODELS
from cnnjax.weights import Preprocessing, preprocessing_of

TABLE = Path(cnnjax.__file__).parent / "weights" / "published.csv"


def test_every_network_of_a_reference_has_its_row_for_the_weights_it_names():
    with open(TABLE, newline="") as lines:
        rows = [(row["network"], row["weights"]) for row in csv.DictReader(lines)]
    expected = {
        (name, network.weights or "")
        for name, network in MODELS.items()
        if network.reference in ("torchvision", "timm")
    }
    assert len(rows) == len(set(rows))
    assert set(rows) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # torchvision.models.ResNet50_Weights.IMAGENET1K_V2: resize 232, crop 224
        ("resnet50", (224, 224 / 232, "bilinear", 0.485, 0.229)),
        # Inception's constants, and the published crop of the largest EfficientNet
        ("tf_efficientnet_b7", (600, 0.949, "bicubic", 0.485, 0.229)),
        ("inception_v4", (299, 0.875, "bicubic", 0.5, 0.5)),
        ("lenet5", (28, 1.0, "bicubic", 0.1307, 0.3081)),
        ("resnet20_cifar", (32, 1.0, "bicubic", 0.485, 0.229)),
    ],
)
def test_known_rows(name, expected):
    found = preprocessing_of(name)
    first = (found.size, found.crop, found.interpolation, found.mean[0], found.std[0])
    assert first == expected


def test_values_are_possible():
    for name in MODELS:
        found = preprocessing_of(name)
        assert isinstance(found, Preprocessing)
        assert found.size > 0
        assert 0 < found.crop <= 1
        assert found.interpolation in INTERPOLATIONS
        assert len(found.mean) == len(found.std)
        assert all(0 <= mean < 1 for mean in found.mean)
        assert all(0 < std <= 1 for std in found.std)
