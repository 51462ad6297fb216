"""How images are prepared is the references' way: `make_published.py --check` compares them."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from cnnjax.data import Preprocessing, prepare_photograph
from cnnjax.data.preprocessing import CROP_MODES, INTERPOLATIONS
from cnnjax.errors import BadArgument
from cnnjax.models import MODELS, facts_of
from cnnjax.weights import preprocessing_of

TABLE = Path(__file__).parents[1] / "models" / "reference_preprocessing.csv"


def test_images_are_prepared_as_the_reference_prepares_them_for_the_weights_of_the_network():
    with open(TABLE, newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["network"] for row in rows] == list(dict.fromkeys(row["network"] for row in rows))
    of_references = {n for n in MODELS if facts_of(n).reference in ("torchvision", "timm")}
    assert {row["network"] for row in rows} == of_references
    for row in rows:
        assert (facts_of(row["network"]).weights or "") == row["weights"]
        found = preprocessing_of(row["network"])
        assert found.height == found.width == int(row["size"])
        assert (found.crop, found.interpolation) == (float(row["crop"]), row["interpolation"])
        assert [*found.mean, *found.std] == [
            float(number) for column in ("mean", "std") for number in row[column].split()
        ]
        assert found.crop_mode == row["crop_mode"]


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
    first = (found.height, found.crop, found.interpolation, found.mean[0], found.std[0])
    assert first == expected


def test_networks_whose_images_are_squashed():
    """timm: crop_mode "squash" in the configuration of the weights that the table names."""
    squashed = {name for name in MODELS if preprocessing_of(name).crop_mode == "squash"}
    assert {f"dm_nfnet_f{size}" for size in range(7)} <= squashed
    assert {"tf_efficientnetv2_m", "convnext_xlarge", "mambaout_base_plus_rw"} <= squashed
    assert {"resnet50", "tf_efficientnetv2_s", "nfnet_f0", "resnet8_cifar"}.isdisjoint(squashed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 0}, "height: received 0, allowed: integers 1..16384"),
        ({"width": 16_385}, "width: received 16385"),
        ({"width": 8.0}, "width: received 8.0"),
        ({"height": True}, "height: received True"),
        ({"crop": 0}, "crop: received 0, allowed"),
        ({"crop": 1.001}, "crop: received 1.001"),
        ({"interpolation": "area"}, "interpolation: received 'area', allowed: bilinear, bicubic"),
        ({"crop_mode": "border"}, "crop_mode: received 'border', allowed: center, squash"),
        ({"mean": (), "std": ()}, "mean, std: received 0 and 0"),
        ({"mean": (0.5,)}, "mean, std: received 1 and 3"),
        ({"mean": (0.5, 0.5, float("nan"))}, "mean: received"),
        ({"std": (0.5, 0.5, 0.0)}, "std: received"),
        ({"std": (0.5, 0.5, float("inf"))}, "std: received"),
    ],
)
def test_what_no_preparation_is(change, words):
    values = {"height": 16384, "width": 1, "crop": 1.0, "interpolation": "bilinear"}
    values |= {"mean": (0.0, -1.0, 1.0), "std": (1.0, 1e-3, 9.0), "crop_mode": "squash"}
    assert Preprocessing(**values).image_shape == (16384, 1, 3)
    with pytest.raises(BadArgument, match=re.escape(words)):
        Preprocessing(**{**values, **change})


def test_images_of_another_shape_are_prepared_alike():
    how = Preprocessing(8, 9, 0.5, "bicubic", (0.1, 0.2, 0.6), (1.0, 2.0, 6.0), "squash")
    assert how.for_images(4, 5, 3) == Preprocessing(
        4, 5, 0.5, "bicubic", (0.1, 0.2, 0.6), (1.0, 2.0, 6.0), "squash"
    )
    many = how.for_images(8, 9, 4)
    assert many.mean == pytest.approx((0.3,) * 4)
    assert many.std == pytest.approx((3.0,) * 4)


def test_every_kind_of_preparation_is_carried_out():
    image = np.zeros((3, 5, 1), np.uint8)
    for mode in CROP_MODES:
        for interpolation in INTERPOLATIONS:
            how = {"interpolation": interpolation, "crop_mode": mode, "mean": (0,), "std": (1,)}
            assert prepare_photograph(image, size=(2, 4), **how).shape == (2, 4, 1)


def test_values_are_possible():
    for name in MODELS:
        found = preprocessing_of(name)
        assert isinstance(found, Preprocessing)
        assert found.height == found.width
        assert found.image_shape[2] == facts_of(name).channels
        assert all(0 <= mean < 1 for mean in found.mean)
        assert all(0 < std <= 1 for std in found.std)
