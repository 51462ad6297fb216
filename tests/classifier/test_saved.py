"""What is saved is what is loaded: a classifier of a named network, or of anyone's module."""

import json
import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import cli
from cnnjax.analysis.attribution import class_scores, integrated_gradients
from cnnjax.classifier import check_weights
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import export_network, read_about

SPEC = "conv4-bn-relu-gap"
RANDOM = np.random.default_rng(0)
HOW = Preprocessing(12, 20, 0.9, "bilinear", (0.1, 0.2), (0.3, 0.4), "squash")
RGB = Preprocessing(4, 6, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)


class Mine(nn.Module):
    """A module that no table knows."""

    width: int = 5
    staged: bool = True

    @nn.compact
    def __call__(self, images, *, train, features=False):
        x = nn.Conv(self.width, (3, 3))(images)
        x = nn.BatchNorm(use_running_average=not train)(x)
        pooled = nn.relu(x).mean(axis=(1, 2))
        logits = nn.Dense(2)(pooled)
        stages = {"stem": x, "pre_logits": pooled} if self.staged else {"stem": x}
        return (logits, stages) if features else logits


class Plain(nn.Module):
    """One that has no features to show."""

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(2)(images.mean(axis=(1, 2)))


class Typed(nn.Module):
    """One that computes in a type of its own."""

    dtype: object

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(2, dtype=self.dtype)(images.mean(axis=(1, 2)))
        return x.astype(jnp.float32)


def drawn(model, how):
    images = jax.ShapeDtypeStruct((1, *how.image_shape), jnp.float32)
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    # Above 0: variances are among them.
    draw = lambda leaf: jnp.asarray(RANDOM.uniform(0.1, 1, leaf.shape), leaf.dtype)
    return jax.tree.map(draw, tree)


def of(model, how=HOW, names=("no", "yes"), network=""):
    return cnnjax.Classifier(model, drawn(model, how), how, names, network)


def named(how=HOW, names=("no", "yes")):
    return of(cnnjax.build("cnn", spec=SPEC, num_classes=len(names)), how, names, "cnn")


def noise(how=HOW, number=3):
    return RANDOM.normal(size=(number, *how.image_shape)).astype(np.float32)


def assert_equal(first, second):
    assert (first.model, first.network) == (second.model, second.network)
    assert (first.preprocessing, first.class_names) == (second.preprocessing, second.class_names)
    jax.tree.map(np.testing.assert_array_equal, first.variables, second.variables)


def test_what_is_saved_is_loaded_without_a_name(tmp_path):
    classifier = named()
    assert classifier.fields == {"spec": SPEC}
    classifier.save(tmp_path / "new" / "run")
    file = tmp_path / "new" / "run" / "weights.safetensors"
    for source in (tmp_path / "new" / "run", str(file.parent), file, f"{file}"):
        assert_equal(cnnjax.load(source), classifier)
    assert_equal(cnnjax.load("cnn", file), classifier)
    # Arguments still come before what the file says.
    assert cnnjax.load(file, pixels=9).image_shape == (9, 9, 2)
    assert cnnjax.load(file, num_classes=3).class_names == ("class 0", "class 1", "class 2")
    assert cnnjax.load(file, dtype=jnp.bfloat16).model.dtype == jnp.bfloat16
    # What was loaded can be saved, and is the same file.
    cnnjax.load(file).save(tmp_path / "again")
    assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_the_type_that_a_network_computes_in_is_kept(tmp_path, dtype):
    images = noise()
    for network, classifier in (
        ("cnn", of(cnnjax.build("cnn", spec=SPEC, num_classes=2, dtype=dtype), network="cnn")),
        ("", of(Typed(dtype))),
    ):
        classifier.save(tmp_path)
        own = {} if network else {"model": Typed(dtype)}
        found = cnnjax.load(tmp_path, **own)
        assert_equal(found, classifier)
        np.testing.assert_array_equal(found.logits(images), classifier.logits(images))
        if network:
            assert found.fields == {"spec": SPEC}
            wide = cnnjax.load(tmp_path, dtype=jnp.float32)
            assert wide.model.dtype == jnp.float32
            assert not np.array_equal(wide.logits(images), classifier.logits(images))


def test_torchvisions_names_in_the_file_are_ours_again(tmp_path):
    """As `save_weights` writes them where torchvision has the network."""
    how = Preprocessing(32, 32, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    model = cnnjax.build("mobilenet_v3_small", num_classes=2)
    classifier = of(model, how, network="mobilenet_v3_small")
    classifier.save(tmp_path)
    assert_equal(cnnjax.load(tmp_path), classifier)


def test_fields_are_those_that_the_name_does_not_say():
    """TensorFlow's padding and epsilon belong to the weights of the lite networks."""
    usual = cnnjax.build("efficientnet_lite0", num_classes=3, dtype=jnp.bfloat16)
    other = usual.clone(padding="SAME", epsilon=1e-3)
    found = [
        cnnjax.Classifier(model, {}, RGB, ("a",) * 3, "efficientnet_lite0").fields
        for model in (usual, other)
    ]
    assert found == [{}, {"padding": "SAME", "epsilon": 1e-3}]
    with pytest.raises(BadArgument, match=r"network: 'resnet18' is a ResNet, the model is a Mine"):
        of(Mine(), network="resnet18").save("never")


def test_a_module_of_ones_own_is_a_classifier(tmp_path):
    classifier = of(Mine())
    images = noise()
    logits, stages = Mine().apply(classifier.variables, images, train=False, features=True)
    np.testing.assert_allclose(classifier.logits(images), logits, rtol=1e-5)
    np.testing.assert_allclose(classifier.features(images), stages["pre_logits"], rtol=1e-5)
    head = classifier.variables["params"]["Dense_0"]
    linear = classifier.features(images) @ head["kernel"] + head["bias"][None]
    np.testing.assert_allclose(linear, logits, rtol=1e-4)
    assert [row["stage"] for row in check_weights(classifier)] == ["stem", "pre_logits", "logits"]
    scores = class_scores(classifier.model, classifier.variables, jnp.array([1, 0, 1]))
    assert integrated_gradients(scores, jnp.asarray(images), steps=2).shape == images.shape
    pytest.importorskip("flatbuffers")
    data = export_network(classifier.model, classifier.variables, HOW.image_shape, batch=3)
    again = jax.export.deserialize(bytearray(data)).call(images)
    np.testing.assert_allclose(again, logits, rtol=1e-4)

    classifier.save(tmp_path)
    assert_equal(cnnjax.load(tmp_path, model=Mine()), classifier)
    assert (read_about(tmp_path).network, read_about(tmp_path).fields) == ("", {})
    with pytest.raises(BadArgument, match=r"does not say which network .* model=\.\.\.\)"):
        cnnjax.load(tmp_path)
    with pytest.raises(BadArgument, match=r"does not fit Mine; .*misshapen: .*Conv_0\.weight is"):
        cnnjax.load(tmp_path, model=Mine(width=6))
    with pytest.raises(BadArgument, match="model: received with num_classes"):
        cnnjax.load(tmp_path, model=Mine(), num_classes=2)
    with pytest.raises(BadArgument, match="model: received with name='cnn'"):
        cnnjax.load("cnn", tmp_path, model=Mine())


def test_a_file_that_says_nothing_needs_more(tmp_path):
    classifier = of(Mine())
    cnnjax.save_weights(classifier.variables, tmp_path / "a.safetensors")
    with pytest.raises(BadArgument, match="does not say which network its weights are of"):
        cnnjax.load(tmp_path / "a.safetensors")
    with pytest.raises(BadArgument, match="does not say how images are prepared"):
        cnnjax.load(tmp_path / "a.safetensors", model=Mine())
    with pytest.raises(BadArgument, match="source: 'resnet18' is no file or directory that says"):
        cnnjax.load("resnet18")
    with pytest.raises(BadArgument, match="is a directory"):
        cnnjax.load(tmp_path)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Plain(), "model: Plain takes no features=True, .*pre_logits"),
        (Mine(staged=False), "model: Mine has no feature 'pre_logits', only stem"),
    ],
)
def test_a_module_without_features_is_refused_in_one_line(model, words):
    with pytest.raises(BadArgument, match=words):
        of(model).features(noise())
    assert of(model).logits(noise()).shape == (3, 2)


@pytest.fixture
def photographs(tmp_path):
    """Seven images of one color each, and what is no image."""
    Image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "images"
    folder.mkdir()
    colors = RANDOM.integers(0, 256, (7, 3))
    for index, color in enumerate(colors.tolist()):
        Image.new("RGB", (12, 8), tuple(color)).save(folder / f"{index}.png")
    (folder / "bad.png").write_text("no image")
    return folder, colors


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_predictions_of_files_are_those_of_their_pixels(photographs, batch_size):
    folder, colors = photographs
    classifier = of(Plain(), RGB)
    files = [folder / f"{index}.png" for index in range(7)]
    found = classifier.predict(files, batch_size=batch_size)
    head = jax.tree.map(np.float64, classifier.variables["params"]["Dense_0"])
    logits = (colors / 255 - 0.5) / 0.5 @ head["kernel"] + head["bias"]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found.dtype == np.float64
    assert classifier.predict([]).shape == (0, 2)
    mixed = [files[0], folder / "bad.png", *files[1:], folder / "none.png"]
    with pytest.raises(Failed, match=r"bad\.png: not an image"):
        classifier.predict(mixed, batch_size=batch_size)
    each = list(classifier.predictions(mixed, batch_size=batch_size))
    assert [file for file, _ in each] == mixed
    assert [isinstance(row, Failed) for _, row in each] == [False, True, *[False] * 6, True]
    rows = [row for _, row in each if not isinstance(row, Failed)]
    np.testing.assert_allclose(rows, expected, rtol=1e-4)
    only = list(classifier.predictions([folder / "bad.png"], batch_size=batch_size))
    assert isinstance(only[0][1], Failed)
    with pytest.raises(BadArgument, match="batch_size: received 0"):
        classifier.predict(files, batch_size=0)


def test_all_batches_are_one_program(photographs):
    folder, _ = photographs
    traced = []

    class Counted(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            traced.append(images.shape)
            return nn.Dense(2)(images.mean(axis=(1, 2)))

    classifier = of(Counted(), RGB)
    traced.clear()
    classifier.predict([folder / f"{index}.png" for index in range(7)], batch_size=3)
    assert traced == [(3, 4, 6, 3)]


@pytest.fixture
def opened(monkeypatch):
    """The names of files as the system is asked to open them, by whichever way."""
    seen = []
    real = os.open

    def watched(path, *arguments, **options):
        seen.append(os.path.basename(os.fspath(path)))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", watched)
    return seen


@pytest.mark.parametrize(
    "command",
    [
        "predict cnn {image} --weights {run} --json",
        "explain cnn {image} --weights {run} --steps 2 --out {tmp}/a.png --filters {tmp}/f.png",
        "export cnn --weights {run} --out {tmp}/a.jax",
        "weights check cnn {run} --json",
        "train cnn --data digits --epochs 1 --batch-size 512 --weights {run} --out {tmp}/out",
    ],
    ids=lambda command: command.split()[0],
)
def test_a_command_opens_its_file_of_weights_once(
    tmp_path, photographs, opened, monkeypatch, capsys, command
):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    needed = {"explain": "matplotlib", "export": "flatbuffers", "train": "tensorflow_datasets"}
    if package := needed.get(command.split()[0]):
        pytest.importorskip(package)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    how = Preprocessing(8, 8, 1.0, "bicubic", (0.5,), (0.5,)) if "train" in command else RGB
    named(how).save(tmp_path / "run")
    values = {"image": photographs[0] / "0.png", "run": tmp_path / "run", "tmp": tmp_path}
    opened.clear()
    assert cli.main([part.format(**values) for part in command.split()]) == 0, capsys.readouterr()
    assert opened.count("weights.safetensors") == 1


def test_loading_a_directory_opens_its_file_once(tmp_path, opened):
    named().save(tmp_path / "run")
    of(Mine()).save(tmp_path / "mine")
    for load in (
        lambda: cnnjax.load(tmp_path / "run"),
        lambda: cnnjax.load("cnn", tmp_path / "run"),
        lambda: cnnjax.load(tmp_path / "mine", model=Mine()),
    ):
        opened.clear()
        load()
        assert opened.count("weights.safetensors") == 1


def test_a_run_of_train_is_loaded_by_its_directory(tmp_path, monkeypatch, capsys):
    """Channels, size, classes and fields are the run's, none of them the table's."""
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    command = "train cnn --data digits --epochs 1 --batch-size 512 --spec conv4-relu-gap"
    command += " --resize 9:squash --dtype bfloat16"
    assert cli.main([*command.split(), "--out", str(tmp_path / "run"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    found = cnnjax.load(tmp_path / "run")
    assert found.image_shape == (9, 9, 1)
    assert found.class_names == tuple("0123456789")
    assert found.fields == {"spec": result["spec"]} == {"spec": "conv4-relu-gap"}
    assert found.preprocessing.crop_mode == "squash"
    assert found.model.dtype == jnp.bfloat16
