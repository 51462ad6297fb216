"""`cnnjax export`: what is written computes what the network does, with jax alone."""

import json

import jax
import jax.export
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import main
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument
from cnnjax.weights import About, export_network
from tests.models.small import SMALL, parametrized

pytest.importorskip("flatbuffers")
NAME = "lenet5"
QUICK = ("convnext_tiny", "densenet121", "preresnet20_cifar")


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


@pytest.fixture(scope="module")
def network():
    model = cnnjax.build(NAME)
    images = jax.random.normal(jax.random.key(0), (3, 28, 28, 1))
    variables = model.init(jax.random.key(1), images, train=False)
    return variables, images, model.apply(variables, images, train=False)


def test_a_file_with_weights_takes_any_number_of_images(tmp_path, network, capsys):
    variables, images, logits = network
    cnnjax.save_weights(variables, tmp_path / "w.safetensors")
    out = tmp_path / "lenet5.jax"
    command = ["export", NAME, "--out", str(out), "--weights", str(tmp_path / "w.safetensors")]
    assert main([*command, "--batch", "any", "--platforms", "cpu,cuda,tpu,cpu"]) == 0
    assert "for cpu, cuda, tpu; call(images) with images anyx28x28x1" in capsys.readouterr().out
    program = jax.export.deserialize(out.read_bytes())
    assert program.platforms == ("cpu", "cuda", "tpu")
    for count in (1, 3):
        np.testing.assert_allclose(program.call(images[:count]), logits[:count], atol=1e-5)
    facts = json.loads((tmp_path / "lenet5.json").read_text())
    assert facts["class_names"] == list("0123456789")
    assert facts["preprocessing"]["mean"] == [0.1307]
    assert (facts["batch"], facts["call"], facts["image_shape"]) == (None, "images", [28, 28, 1])


def test_a_file_without_weights_takes_them(tmp_path, network):
    variables, images, logits = network
    out = tmp_path / "lenet5.jax"
    assert main(["export", NAME, "--out", str(out), "--batch", "3"]) == 0
    assert out.stat().st_size < 100_000
    program = jax.export.deserialize(out.read_bytes())
    np.testing.assert_allclose(program.call(variables, images), logits, atol=1e-5)
    facts = json.loads((tmp_path / "lenet5.json").read_text())
    assert facts == {
        "network": NAME,
        "weights": None,
        "call": "variables, images",
        "image_shape": [28, 28, 1],
        "batch": 3,
        "platforms": ["cpu"],
    }


def small(path, height, width, channels):
    """A file of weights that says what it is for, and its logits of one image."""
    spec, names = "conv2-relu-fc3-relu", ("no", "yes", "perhaps")
    model = cnnjax.build("cnn", spec=spec, num_classes=3)
    image = np.random.default_rng(0).normal(size=(1, height, width, channels)).astype(np.float32)
    variables = model.init(jax.random.key(0), image, train=False)
    how = Preprocessing(height, width, 0.9, "bilinear", (0.5,) * channels, (0.2,) * channels)
    cnnjax.save_weights(variables, path, about=About(names, how, {"spec": spec}, "cnn"))
    return image, model.apply(variables, image, train=False)


@pytest.mark.parametrize("shape", [(12, 20, 3), (6, 5, 13)])
def test_what_a_file_says_is_exported(tmp_path, shape, capsys):
    image, logits = small(tmp_path / "w.safetensors", *shape)
    command = ["export", "cnn", "--weights", str(tmp_path / "w.safetensors"), "--json"]
    assert main([*command, "--out", str(tmp_path / "a.jax")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "a.json").read_text())
    assert printed["image_shape"] == list(shape)
    assert printed["class_names"] == ["no", "yes", "perhaps"]
    how = printed["preprocessing"]
    assert (how["height"], how["width"], how["crop"]) == (*shape[:2], 0.9)
    assert (how["interpolation"], how["crop_mode"]) == ("bilinear", "center")
    assert (how["mean"], how["std"]) == ([0.5] * shape[2], [0.2] * shape[2])
    program = jax.export.deserialize((tmp_path / "a.jax").read_bytes())
    np.testing.assert_allclose(program.call(image), logits, atol=1e-5)


@parametrized(slow=set(SMALL) - set(QUICK))
def test_every_family_is_exported_for_any_batch(row):
    model, images = row.build(), row.images(1)
    shape = images.shape[1:]
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    program = jax.export.deserialize(
        export_network(model, variables, shape, batch=None, platforms=["cpu", "cuda"], baked=False)
    )
    (logits,) = program.out_avals
    assert logits.shape == (program.in_avals[-1].shape[0], model.num_classes)
    assert not isinstance(logits.shape[0], int)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "0"], "batch: received '0', allowed: integers 1..65536, any"),
        (["--batch", "65537"], "batch: received '65537'"),
        (["--batch", "9" * 30], "batch: received"),
        (["--batch", "²"], "batch: received '²'"),
        (["--platforms", "gpu"], "platforms: unknown name 'gpu'"),
        (["--platforms", ","], "platforms: received none"),
        (["--num-classes", "0"], "num_classes: received 0, allowed: integers 1..1000000"),
        (["--num-classes", "1000001"], "num_classes: received 1000001"),
        (["--num-classes", "99999999999"], "num_classes: received 99999999999"),
        (["--input-size", "99999999999"], "input_size"),
        (["--input-size", "0x3"], "input_size"),
    ],
)
def test_bad_arguments(tmp_path, capsys, options, words):
    assert main(["export", NAME, "--out", str(tmp_path / "a.jax"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["x.onnx", "x.tflite", "x.json", "x", "x.jax.gz"])
def test_other_formats_are_not_what_is_written(tmp_path, capsys, name):
    assert main(["export", NAME, "--out", str(tmp_path / name)]) == 2
    assert "allowed: names ending in .jax; what is written is a program for jax.export" in (
        capsys.readouterr().err
    )
    assert main(["export", NAME, "--out", str(tmp_path / "new" / "x.jax")]) == 2
    assert "there is no directory" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_weights_have_their_own_classes_and_size(tmp_path, capsys):
    small(tmp_path / "w.safetensors", 8, 8, 1)
    command = ["export", "cnn", "--weights", str(tmp_path / "w.safetensors")]
    command += ["--out", str(tmp_path / "a.jax")]
    assert main([*command, "--num-classes", "10"]) == 2
    assert "allowed with these weights: 3" in capsys.readouterr().err
    assert main([*command, "--input-size", "9"]) == 2
    assert "input_size: images of 9x9x1 do not fit these weights" in capsys.readouterr().err
    assert main([*command, "--num-classes", "3", "--input-size", "8"]) == 0
    assert "1x8x8x1" in capsys.readouterr().out


def test_another_size_of_a_network_that_takes_it_is_in_the_facts(tmp_path, capsys):
    model = cnnjax.build("cnn", spec="conv2-relu-gap", num_classes=2)
    variables = model.init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32), train=False)
    how = Preprocessing(8, 8, 1.0, "bicubic", (0.5,), (0.2,))
    about = About(("a", "b"), how, {"spec": "conv2-relu-gap"})
    cnnjax.save_weights(variables, tmp_path / "w.safetensors", about=about)
    command = ["export", "cnn", "--weights", str(tmp_path / "w.safetensors"), "--json"]
    assert main([*command, "--out", str(tmp_path / "a.jax"), "--input-size", "6x5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["image_shape"] == [6, 5, 1]
    assert (facts["preprocessing"]["height"], facts["preprocessing"]["width"]) == (6, 5)


def test_bad_arguments_in_python(network):
    model, (variables, *_) = cnnjax.build(NAME), network
    for change in ({"batch": 0}, {"platforms": ()}, {"image_shape": (28, 28)}):
        with pytest.raises(BadArgument, match=next(iter(change))):
            export_network(model, variables, **{"image_shape": (28, 28, 1), **change})
    with pytest.raises(BadArgument, match="images of 40x28x1 do not fit these weights"):
        export_network(model, variables, (40, 28, 1))
