"""Directories, versions and disks: where datasets are prepared, and which one a name means."""

import errno
import os
import pathlib
import shutil

import pytest

from cnnjax.data import catalogue, describe, load, prepare
from cnnjax.data.directory import data_directory
from cnnjax.data.library import import_tfds
from cnnjax.errors import BadArgument, Failed


@pytest.mark.parametrize("name", ["digits", "digits:1.0.0", "cifar10"])
def test_a_directory_that_was_named_must_exist(name, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(BadArgument, match=r"^data_dir: '.*file' is no directory$"):
        load(name, "train", tmp_path / "file")
    with pytest.raises(BadArgument, match=r"^data_dir: '.*mistyped' does not exist; make it"):
        load(name, "train", tmp_path / "mistyped")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "mistyped"))
    with pytest.raises(BadArgument, match=r"^TFDS_DATA_DIR: '.*mistyped' does not exist"):
        load(name)
    with pytest.raises(BadArgument, match=r"^data_dir: .* is no path"):
        load(name, "train", "a\0b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_the_default_directory_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    default = tmp_path / "tensorflow_datasets"
    assert data_directory() == default
    assert data_directory("~/x") == tmp_path / "x"
    assert data_directory("x") == pathlib.Path("x").absolute()
    assert len(load("digits", "test")) == 360
    assert [path.name for path in default.iterdir()] == ["digits"]


def test_without_a_home_the_directory_must_be_named(monkeypatch, tmp_path):
    def nobody(*_):
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(Failed, match=r"there is no home directory .*: data_dir, --data-dir"):
        load("digits")
    assert data_directory(tmp_path) == tmp_path


def test_a_directory_that_nobody_may_write(tmp_path, monkeypatch, embedded_dir):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    with pytest.raises(Failed, match=r"cannot prepare 'digits' in .*closed: it is read-only; name"):
        load("digits", "test", closed)
    # Where only the variable names it, TFDS's default directory takes its place ...
    monkeypatch.setenv("TFDS_DATA_DIR", str(closed))
    assert len(load("digits", "test")) == 360
    assert (tmp_path / "home" / "tensorflow_datasets" / "digits").is_dir()
    assert list(closed.iterdir()) == []
    # ... but not where it has the dataset.
    load("digits", "test", embedded_dir)
    closed.chmod(0o755)
    shutil.copytree(embedded_dir / "digits", closed / "digits")
    closed.chmod(0o555)
    assert pathlib.Path(prepare("digits").data_path) == closed / "digits" / "1.0.0"
    closed.chmod(0o755)


def test_nothing_is_asked_of_the_network_for_a_directory_that_cannot_be_written(
    tmp_path, monkeypatch
):
    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *host, **_: asked.append(host) or [])
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(Failed, match=r"cannot prepare 'cifar10' in .*: [Rr]ead-only"):
        prepare("cifar10", tmp_path)
    assert not asked


@pytest.mark.parametrize("where", ["os.rename", "array_record"])
def test_a_full_disk_leaves_nothing(where, tmp_path, monkeypatch):
    import_tfds()
    from tensorflow_datasets.core.writer import Writer

    def full(*_, **__):
        if where == "os.rename":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # As the library that writes the records words it, and of that type.
        raise ValueError("write() failed: No space left on device;\nat byte 65536")

    if where == "os.rename":
        monkeypatch.setattr(os, "rename", full)
    else:
        monkeypatch.setattr(Writer, "finalize", full)
    with pytest.raises(Failed, match=r"cannot prepare 'digits' in .*No space left on device") as at:
        load("digits", "train", tmp_path)
    assert "\n" not in str(at.value)
    assert "name another directory: data_dir, --data-dir or TFDS_DATA_DIR" in str(at.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stored", "asked", "found"),
    [
        ("1.0.0", "mnist", "1.0.0"),
        ("1.0.0", "mnist:1.0.0", "1.0.0"),
        ("1.0.0", "mnist:1.*.*", "1.0.0"),
        ("9.8.7", "mnist", "9.8.7"),
        ("9.8.7", "unheard_of", "9.8.7"),
    ],
)
def test_the_version_that_is_prepared_is_read(stored, asked, found, write_dataset, pictures):
    name = asked.partition(":")[0]
    root = write_dataset(name, {"train": pictures(4)}, version=stored)
    builder = prepare(asked, root)
    assert (str(builder.version), builder.is_prepared()) == (found, True)
    assert len(load(asked, "train", root)) == 4


def test_of_prepared_versions_the_newest_is_read(write_dataset, pictures):
    for number, version in ((4, "1.2.0"), (5, "1.10.0"), (6, "1.9.0")):
        root = write_dataset("mnist", {"train": pictures(number)}, version=version)
    assert len(load("mnist", "train", root)) == 5
    assert len(load("mnist:1.2.0", "train", root)) == 4


def test_an_embedded_dataset_has_one_version(embedded_dir):
    first, named = (load(name, "test", embedded_dir) for name in ("digits", "digits:1.0.0"))
    assert first.fingerprint() == named.fingerprint()


@pytest.mark.parametrize("name", ["digits", "other"])
@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("text", [None, "[]", "5", "{}", '{"splits": 5, "featuresDict": 5}'])
def test_damaged_descriptions_are_named(name, file, text, embedded_dir, tmp_path):
    load("digits", "test", embedded_dir)
    shutil.copytree(embedded_dir / "digits", tmp_path / name)
    path = tmp_path / name / "1.0.0" / file
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2] if text is None else text)
    rows = {row["name"] for row in catalogue(tmp_path)}
    assert {"mnist5k"} <= rows <= {"mnist5k", "digits"}
    if (name, file) == ("digits", "features.json"):  # which the builder does not need
        assert describe(name, tmp_path)["splits"]["train"]["images"] == 1437
        return
    with pytest.raises((Failed, BadArgument), match=rf"'{name}' "):
        describe(name, tmp_path)
