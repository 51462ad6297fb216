"""What is said of datasets, against numpy's figures of the same images."""

import json

import numpy as np
import pytest

from cnnjax.data import Dataset, catalogue, describe, load
from cnnjax.errors import BadArgument


def empty(directory, *splits):
    """Make splits of a prepared dataset empty, as TFDS leaves some that others wrote."""
    path = directory / "dataset_info.json"
    about = json.loads(path.read_text())
    for split in about["splits"]:
        if split["name"] in splits:
            split["shardLengths"] = ["0"]
    path.write_text(json.dumps(about))


@pytest.fixture
def toy(write_dataset, pictures):
    """Return a directory with a dataset of 7 training, 5 test and no validation images."""
    drawn = {"train": pictures(7), "test": pictures(5, 1), "validation": pictures(1, 2)}
    root = write_dataset("toy", drawn, classes=4, shape=(6, 5, 3))
    empty(root / "toy" / "1.0.0", "validation")
    return root


def test_every_figure_is_that_of_the_images(toy):
    about = describe("toy", toy)
    assert list(about) == [
        "name", "version", "directory", "description", "homepage", "citation", "class_names",
        "shape", "splits",
    ]  # fmt: skip
    assert (about["name"], about["version"], about["shape"]) == ("toy", "1.0.0", [6, 5, 3])
    assert about["directory"] == str(toy / "toy" / "1.0.0")
    assert about["description"] == "Made up here. \x1b[31mred"
    assert (about["homepage"], about["citation"]) == ("https://example.org/", "nobody")
    assert about["class_names"] == ["a", "b", "c", "d"]
    assert set(about["splits"]) == {"train", "test"}  # the empty one is left out
    for split, figures in about["splits"].items():
        dataset = load("toy", split, toy)
        scaled = dataset.images.astype(np.float64) / 255
        assert list(figures) == ["images", "per_class", "mean", "std", "fingerprint"]
        assert figures["images"] == {"train": 7, "test": 5}[split]
        assert figures["per_class"] == [int((dataset.labels == label).sum()) for label in range(4)]
        np.testing.assert_allclose(figures["mean"], scaled.mean((0, 1, 2)), atol=6e-7)
        np.testing.assert_allclose(figures["std"], scaled.std((0, 1, 2)), atol=6e-7)
        assert figures["fingerprint"] == dataset.fingerprint()
    assert about["splits"]["train"]["per_class"] == [3, 2, 2, 0]
    assert about["splits"]["test"]["per_class"] == [2, 2, 1, 0]


def test_a_dataset_without_images(toy):
    empty(toy / "toy" / "1.0.0", "train", "test")
    with pytest.raises(BadArgument, match="'toy' has no images in any split"):
        describe("toy", toy)


def test_the_catalogue_has_what_is_embedded_and_what_is_prepared(toy, write_dataset, pictures):
    write_dataset("varied", {"train": pictures(3)}, version="2.0.1", shape=(None, None, 3))
    (toy / "nonsense" / "1.0.0").mkdir(parents=True)
    (toy / "nonsense" / "1.0.0" / "dataset_info.json").write_text("{")
    rows = catalogue(toy)
    assert [row["name"] for row in rows] == ["digits", "mnist5k", "toy", "varied"]
    by_name = {row.pop("name"): row for row in rows}
    assert by_name["digits"] == {
        "prepared": False, "splits": {"train": 1437, "test": 360}, "shape": [8, 8, 1],
        "classes": 10, "version": "1.0.0",
    }  # fmt: skip
    assert by_name["toy"] == {
        "prepared": True, "splits": {"train": 7, "test": 5, "validation": 0}, "shape": [6, 5, 3],
        "classes": 4, "version": "1.0.0",
    }  # fmt: skip
    assert (by_name["varied"]["shape"], by_name["varied"]["version"]) == ([None, None, 3], "2.0.1")
    load("digits", "test", toy)
    assert catalogue(toy)[0]["prepared"] is True


def test_the_catalogue_makes_no_directory(tmp_path):
    with pytest.raises(BadArgument, match=r"data_dir: .*mistyped' does not exist"):
        catalogue(tmp_path / "mistyped")
    assert list(tmp_path.iterdir()) == []


def test_digits_are_described_as_their_source_has_them(embedded_dir):
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    about = describe("digits", embedded_dir)
    both = [about["splits"][split]["per_class"] for split in ("train", "test")]
    assert np.sum(both, axis=0).tolist() == np.bincount(digits.target).tolist()
    train = load("digits", "train", embedded_dir)
    assert isinstance(train, Dataset)
    assert about["splits"]["train"]["images"] == len(train) == 1437
