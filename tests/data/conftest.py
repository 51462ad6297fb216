"""Where the tests of data find datasets."""

import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def embedded_dir(tmp_path_factory):
    """Return a directory of this session alone, in which the embedded datasets are prepared."""
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture(scope="session")
def downloaded_dir():
    """Return a directory with the real MNIST, Fashion-MNIST and CIFAR-10, or skip the test."""
    beside = pathlib.Path(__file__).parents[3] / "shared" / "data" / "tfds"
    found = pathlib.Path(os.environ.get("TFDS_DATA_DIR", beside))
    if not (found / "mnist").is_dir():
        pytest.skip(f"no MNIST in {found}: set TFDS_DATA_DIR to a directory prepared by TFDS")
    return found
