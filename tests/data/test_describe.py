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
        "shape", "splits", "shared", "left_out", "notes",
    ]  # fmt: skip
    assert (about["name"], about["version"], about["shape"]) == ("toy", "1.0.0", [6, 5, 3])
    assert about["directory"] == str(toy / "toy" / "1.0.0")
    assert about["description"] == "Made up here. \x1b[31mred"
    assert (about["homepage"], about["citation"]) == ("https://example.org/", "nobody")
    assert about["class_names"] == ["a", "b", "c", "d"]
    assert (about["shared"], about["left_out"], about["notes"]) == ([], {}, [])
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


def test_images_that_two_splits_share(write_dataset, pictures):
    train, test = pictures(6), pictures(4, 1)
    root = write_dataset("leaky", {"train": [*train, test[2]], "test": [*test, train[0]]})
    (found,) = describe("leaky", root)["shared"]
    assert (found["splits"], found["images"]) == (["train", "test"], 2)
    sets = [load("leaky", split, root).images for split in ("train", "test")]
    for one, other in found["examples"]:
        np.testing.assert_array_equal(sets[0][one], sets[1][other])


def test_a_folder_of_many_sizes(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))
    draw = np.random.default_rng(0)
    sizes = [(9, 20), (30, 10), (8, 8), (8, 8), (40, 40)]
    for number, size in enumerate(sizes):
        path = tmp_path / "x" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(draw.integers(0, 256, (*size, 3), np.uint8)).save(path)
    (tmp_path / "x" / "a" / "bad.png").write_text("no")
    about = describe(f"folder:{tmp_path / 'x'}")
    assert about["shape"] == [224, 224, 3]
    assert about["splits"]["train"]["per_class"] == [3, 2]
    assert about["splits"]["train"]["sizes"] == {
        "different": 4, "smallest": [8, 8], "median": [9, 20], "largest": [40, 40],
    }  # fmt: skip
    assert list(about["left_out"]) == ["a/bad.png"]
    assert about["notes"][0].startswith("images have 4 sizes: these are figures of 224x224 pixels")
    assert about["directory"] == str(tmp_path / "x")
    assert describe(f"folder:{tmp_path / 'x'}", resize="8:pad")["shape"] == [8, 8, 3]
    json.dumps(about)
    with pytest.raises(BadArgument, match=r"dataset: received a slice, \[:3\]; allowed: a whole"):
        describe(f"folder:{tmp_path / 'x'}[:3]", resize=8)


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
