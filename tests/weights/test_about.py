import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax.errors import Failed
from cnnjax.weights import About, Preprocessing, load_model, preprocessing_of, read_about
from cnnjax.weights.about import ENTRY

ABOUT = About(
    class_names=("no", "yes"),
    preprocessing=Preprocessing(12, 1.0, "bilinear", (0.25,), (0.5,)),
    fields={"spec": "conv4-relu-fc3"},
)


def write(path, text):
    weights = {
        "0.conv4.weight": np.ones((4, 1, 3, 3), np.float32),
        "0.conv4.bias": np.zeros(4, np.float32),
    }
    save_file(weights, path, metadata={ENTRY: text})
    return path


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path / "a.safetensors", ABOUT.to_json())
    assert read_about(path) == read_about(str(path)) == ABOUT
    assert preprocessing_of("cnn", path) == ABOUT.preprocessing


def test_other_sources_say_nothing(tmp_path):
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "a.safetensors")
    sources = (tmp_path / "a.safetensors", tmp_path / "none.safetensors", "package", {}, None)
    assert [read_about(source) for source in sources] == [None] * 5


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"class_names": 3})])
def test_what_cannot_be_read_is_told_with_the_file(tmp_path, text):
    path = write(tmp_path / "a.safetensors", text)
    for read in (read_about, lambda path: load_model("cnn", path)):
        with pytest.raises(Failed, match=r"a\.safetensors: damaged"):
            read(path)
