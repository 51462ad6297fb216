"""What a file says of its weights: written, read back, and refused in words where it is damaged."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import About, load_model, preprocessing_of, read_about, save_weights
from cnnjax.weights.about import ENTRY

HOW = Preprocessing(12, 20, 0.5, "bilinear", (0.25,), (0.5,), "squash")
ABOUT = About(("no", "yes"), HOW, {"spec": "conv4-relu-gap"}, "cnn")
WEIGHTS = {
    "0.conv4.weight": np.ones((4, 1, 3, 3), np.float32),
    "0.conv4.bias": np.zeros(4, np.float32),
    "classifier.weight": np.ones((2, 4), np.float32),
    "classifier.bias": np.zeros(2, np.float32),
}
# What version 0.1.0 wrote, letter by letter.
OLD = (
    '{"class_names": ["no", "yes"], "preprocessing": {"size": 12, "crop": 1.0, "interpolation": '
    '"bicubic", "mean": [0.25], "std": [0.5]}, "fields": {"spec": "conv4-relu-gap"}}'
)


def write(path, text):
    save_file(WEIGHTS, path, metadata={ENTRY: text})
    return path


def changed(path, value):
    """The JSON of ABOUT with another value at a dotted path; None leaves the entry out."""
    whole = entry = json.loads(ABOUT.to_json())
    *above, last = path.split(".")
    for name in above:
        entry = entry[name]
    entry[last] = value
    if value is None:
        del entry[last]
    return json.dumps(whole)


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path / "a.safetensors", ABOUT.to_json())
    assert read_about(path) == read_about(str(path)) == ABOUT
    assert preprocessing_of("cnn", path) == HOW
    path.rename(tmp_path / "weights.safetensors")  # as a training leaves it
    assert preprocessing_of("cnn", tmp_path) == preprocessing_of("cnn", str(tmp_path)) == HOW
    path = tmp_path / "weights.safetensors"
    model, variables = load_model("cnn", path)
    assert (model.spec, model.num_classes) == ("conv4-relu-gap", 2)
    assert variables["params"]["0.conv4"]["kernel"].shape == (3, 3, 1, 4)


def test_a_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "a.safetensors", ABOUT.to_json())
    assert read_about("~/a.safetensors") == ABOUT
    assert load_model("cnn", "~/a.safetensors")[0].num_classes == 2


def test_another_suffix_is_read_too(tmp_path):
    assert read_about(write(tmp_path / "weights.bin", ABOUT.to_json())) == ABOUT


def test_files_of_the_first_version_are_read(tmp_path):
    found = read_about(write(tmp_path / "a.safetensors", OLD))
    assert found.preprocessing == Preprocessing(12, 12, 1.0, "bicubic", (0.25,), (0.5,), "center")
    assert (found.class_names, found.network) == (("no", "yes"), "")
    assert found.fields == {"spec": "conv4-relu-gap"}
    model, _ = load_model("cnn", tmp_path / "a.safetensors")
    assert (model.spec, model.num_classes) == ("conv4-relu-gap", 2)


def test_other_sources_say_nothing(tmp_path):
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "a.safetensors")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "zip").write_bytes(b"PK\x03\x04" + bytes(100))
    sources = [tmp_path / "a.safetensors", tmp_path / "empty", tmp_path / "zip", tmp_path]
    sources += [tmp_path / "none.safetensors", "package", {}, None]
    assert [read_about(source) for source in sources] == [None] * len(sources)


HOSTILE = [
    ("class_names", 3),
    ("class_names", []),
    ("class_names", ["a", 5]),
    ("class_names", None),
    ("class_names", ["a", "b" * 1001]),
    ("preprocessing", []),
    ("preprocessing", None),
    ("preprocessing.height", "12"),
    ("preprocessing.height", 12.5),
    ("preprocessing.height", float("nan")),
    ("preprocessing.height", [12]),
    ("preprocessing.height", True),
    ("preprocessing.height", 0),
    ("preprocessing.height", 16_385),
    ("preprocessing.width", 5_000_000),
    ("preprocessing.width", -1),
    ("preprocessing.width", None),
    ("preprocessing.crop", 0),
    ("preprocessing.crop", 1.01),
    ("preprocessing.crop", "1"),
    ("preprocessing.crop", float("nan")),
    ("preprocessing.interpolation", "nearest"),
    ("preprocessing.crop_mode", "border"),
    ("preprocessing.crop_mode", 1),
    ("preprocessing.mean", []),
    ("preprocessing.mean", [0.1, 0.2]),
    ("preprocessing.mean", [float("inf")]),
    ("preprocessing.mean", 0.5),
    ("preprocessing.std", [0]),
    ("preprocessing.std", [-0.5]),
    ("preprocessing.std", [[0.5]]),
    ("fields", []),
    ("network", 5),
    ("network", "b" * 1001),
    ("dtype", 5),
    ("dtype", "int8"),
    ("dtype", "b" * 5000),
    ("preprocessing.crop_mode", "b" * 5000),
]


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", "1", "[" * 5000, *(changed(*each) for each in HOSTILE)]
)
def test_what_cannot_be_read_is_told_with_the_file(tmp_path, text):
    path = write(tmp_path / "a.safetensors", text)
    for read in (read_about, lambda path: load_model("cnn", path)):
        with pytest.raises(Failed, match=r"a\.safetensors: damaged") as caught:
            read(path)
        assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": 5},
        {"dtype": "float32"},
        {"spec": 5},
        {"spec": ["conv4"]},
        {"spec": "conv1-" * 2000 + "gap"},
        {"num_classes": "2"},
        {"num_classes": 10**9},
    ],
)
def test_fields_of_another_type_or_size_are_refused(tmp_path, fields):
    path = write(tmp_path / "a.safetensors", changed("fields", fields))
    with pytest.raises(Failed, match=rf"a\.safetensors: field '{next(iter(fields))}'"):
        load_model("cnn", path)


def test_fields_that_fit_are_taken_in_their_own_types(tmp_path):
    """JSON has no tuples, which a module needs to be hashable."""
    about = {**json.loads(OLD), "fields": {"depths": [1, 1, 1], "expansion": 1}}
    from cnnjax.models import build
    from cnnjax.weights.about import about_in, checked_fields

    found = about_in({ENTRY: json.dumps(about)}, "x")
    usual = build("convnext_tiny")
    depths = [1, 1, 1, 1]
    fields = checked_fields(dataclasses.replace(found, fields={"depths": depths}), usual, "x")
    assert fields == {"depths": (1, 1, 1, 1)}
    # 64 times the usual sum of 18 blocks is the most.
    for blocks, fits in ((1152, True), (1153, True), (4097, False)):
        wide = dataclasses.replace(found, fields={"depths": [blocks]})
        if fits:
            assert checked_fields(wide, usual, "x") == {"depths": (blocks,)}
        else:
            with pytest.raises(Failed, match="field 'depths'"):
                checked_fields(wide, usual, "x")


def test_fields_that_build_no_network_are_told_with_the_file(tmp_path):
    path = write(tmp_path / "a.safetensors", changed("fields", {"act": "nothing"}))
    with pytest.raises((BadArgument, Failed), match="act"):
        load_model("cnn", path)


def test_names_that_are_not_as_many_as_logits_are_damage(tmp_path):
    path = write(tmp_path / "a.safetensors", changed("class_names", ["a", "b", "c"]))
    with pytest.raises(Failed, match="names 3 classes, its network tells 2 apart"):
        load_model("cnn", path)
    assert load_model("cnn", path, num_classes=3)[0].num_classes == 3


def test_text_that_a_terminal_obeys_is_printed_escaped(tmp_path):
    path = write(tmp_path / "a.safetensors", changed("fields", {"\x1b[2J": 1}))
    with pytest.raises(BadArgument) as caught:
        load_model("cnn", path)
    assert "\x1b" not in str(caught.value)
    assert "x1b[2J" in str(caught.value)


def test_what_json_cannot_hold_is_no_field():
    for value in (np.tanh, float("nan"), {1, 2}):
        with pytest.raises(BadArgument, match="about: "):
            dataclasses.replace(ABOUT, fields={"act": value}).to_json()
    with pytest.raises(BadArgument, match="class_names"):
        About((), HOW)


def test_saving_writes_what_is_read(tmp_path):
    tree = {"params": {"0.conv4": {"kernel": np.ones((3, 3, 1, 4), np.float32)}}}
    save_weights(tree, tmp_path / "a.safetensors", about=ABOUT)
    assert read_about(tmp_path / "a.safetensors") == ABOUT
