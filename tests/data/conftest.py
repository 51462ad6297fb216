"""Where the tests of data find datasets."""

import io
import os
import pathlib

import numpy as np
import pytest

from cnnjax.data.library import silence


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


@pytest.fixture
def write_dataset(tmp_path):
    """Return what prepares a made-up dataset: splits by name, each a list of (image, label)."""
    tfds = pytest.importorskip("tensorflow_datasets")
    from PIL import Image

    def write(name, splits, *, version="1.0.0", classes=3, shape=(None, None, 3)):
        class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version(version)

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=shape, dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=list("abcdefgh"[:classes])),
                }
                return tfds.core.DatasetInfo(
                    builder=self,
                    description="Made up\nhere. \x1b[31mred",
                    features=tfds.features.FeaturesDict(features),
                    homepage="https://example.org/",
                    citation="  nobody  ",
                )

            def _split_generators(self, dl_manager):
                return {key: self._generate_examples(rows) for key, rows in splits.items()}

            def _generate_examples(self, rows):
                for index, (image, label) in enumerate(rows):
                    stream = io.BytesIO()
                    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(
                        stream, "PNG"
                    )
                    stream.seek(0)
                    yield index, {"image": stream, "label": label}

        Made.name = name
        with silence():
            Made(data_dir=tmp_path, file_format="array_record").download_and_prepare()
        return tmp_path

    return write


@pytest.fixture(scope="session")
def pictures():
    """Return what draws a number of random images, with labels in turn."""

    def draw(number, seed=0, size=(6, 5, 3), classes=3):
        images = np.random.default_rng(seed).integers(0, 256, (number, *size), np.uint8)
        return [(image, index % classes) for index, image in enumerate(images)]

    return draw
