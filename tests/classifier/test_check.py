"""`cnnjax weights check`: stages of a network with given weights, against a reference's."""

import io
import json
import zipfile

import jax
import numpy as np
import pytest

import cnnjax
from cnnjax import cli
from cnnjax.classifier import check_weights
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import About, save_weights

SPEC = "conv4-relu-pool-fc3-relu"
STAGES = ["stem", "stage1", "stage2", "pre_logits", "logits"]


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


@pytest.fixture(scope="module")
def classifier():
    """A network for images of 8x6 in one channel."""
    model = cnnjax.build("cnn", spec=SPEC, num_classes=2)
    variables = model.init(jax.random.key(0), np.zeros((1, 8, 6, 1), np.float32), train=False)
    how = Preprocessing(8, 6, 1.0, "bicubic", (0.5,), (0.5,))
    return cnnjax.Classifier(model, variables, how, ("a", "b"))


@pytest.fixture(scope="module")
def arrays(classifier):
    images = np.random.default_rng(0).normal(size=(2, 8, 6, 1)).astype(np.float32)
    model, variables = classifier.model, classifier.variables
    logits, stages = model.apply(variables, images, train=False, features=True)
    return {"images": images, **jax.tree.map(np.asarray, {**stages, "logits": logits})}


def test_the_stage_that_differs_is_found(tmp_path, classifier, arrays, capsys):
    path = tmp_path / "reference.npz"
    other = np.array(arrays["stage1"])
    other[1, 2, 3, 0] -= 7.5
    np.savez(path, **{**arrays, "stage1": other})
    rows = check_weights(classifier, reference=path)
    assert [row["stage"] for row in rows] == STAGES
    for row in rows:
        expected = 7.5 if row["stage"] == "stage1" else 0.0
        assert row["difference"] == pytest.approx(expected, abs=1e-5)
        values = np.float64(arrays[row["stage"]])
        assert row["shape"] == values.shape[1:]
        assert row["mean"] == pytest.approx(values.mean(), abs=1e-5)
        assert row["spread"] == pytest.approx(values.std(), rel=1e-4)
    # Channels first, as PyTorch has them; and the command, on a file that says all that it needs.
    turned = {n: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for n, a in arrays.items()}
    np.savez(path, **turned)
    weights = tmp_path / "a.safetensors"
    about = About(("a", "b"), classifier.preprocessing, {"spec": SPEC}, "cnn")
    save_weights(classifier.variables, weights, about=about)
    command = ["weights", "check", "cnn", str(weights), "--json"]
    assert cli.main([*command, "--reference", str(path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in printed] == STAGES
    assert max(row["difference"] for row in printed) < 1e-5
    assert cli.main(command) == 0
    noise = json.loads(capsys.readouterr().out)
    assert "difference" not in noise[0]
    assert noise[0]["shape"] == [8, 6, 4]


def test_without_a_reference_the_images_are_noise_of_the_networks_size(classifier):
    rows = check_weights(classifier)
    images = jax.random.normal(jax.random.key(0), (2, 8, 6, 1))
    model, variables = classifier.model, classifier.variables
    logits, stages = model.apply(variables, images, train=False, features=True)
    for row, values in zip(rows, [*stages.values(), logits], strict=True):
        assert row["mean"] == pytest.approx(np.float64(values).mean(), abs=1e-5)


def damaged(arrays):
    """Contents of files that are no reference, and the words that say so."""
    whole = io.BytesIO()
    np.savez(whole, **arrays)
    content = whole.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + bytes(5000))
    broken = bytearray(content)
    broken[200:260] = bytes(60)
    huge = io.BytesIO()
    with zipfile.ZipFile(huge, "w") as archive:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,), }"
        header += b" " * (118 - len(header) - 1) + b"\n"
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00v\x00" + header)
    objects = io.BytesIO()
    np.savez(objects, images=np.array([{}], object))
    return [
        content[: len(content) // 2],
        content[:-10],
        content[:3],
        bytes(broken),
        b"",
        b"no archive",
        packed.getvalue(),
        huge.getvalue(),
        objects.getvalue(),
    ]


@pytest.mark.parametrize("index", range(9))
def test_a_damaged_reference_is_refused_in_one_line(tmp_path, classifier, arrays, index):
    path = tmp_path / "reference.npz"
    path.write_bytes(damaged(arrays)[index])
    with pytest.raises(Failed, match=r"reference: .*reference\.npz"):
        check_weights(classifier, reference=path)


def test_a_reference_that_unpacks_to_more_than_memory_is_refused(
    tmp_path, classifier, arrays, monkeypatch
):
    path = tmp_path / "reference.npz"
    np.savez_compressed(path, images=np.zeros((100, 8, 6, 1), np.float32))
    assert check_weights(classifier, reference=path)
    monkeypatch.setattr("cnnjax.classifier.check._LARGEST", 100 * 8 * 6 * 4)
    with pytest.raises(Failed, match=r"reference\.npz unpacks to more than 19,200 bytes"):
        check_weights(classifier, reference=path)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"stage9": np.zeros(2)}, BadArgument, "stage: unknown name 'stage9'"),
        ({"stage1": np.zeros((2, 8, 6, 5))}, BadArgument, r"stage1 has shape \(2, 8, 6, 5\), here"),
        ({"logits": np.zeros((1, 2))}, BadArgument, "logits has shape"),
        ({"images": np.zeros((2, 8, 6))}, BadArgument, "no `images` of shape"),
        ({"images": np.zeros((2, 8, 6, 3))}, BadArgument, "reference: images: shape"),
        ({"images": np.zeros((0, 8, 6, 1))}, BadArgument, "reference: images: shape"),
        ({"images": np.zeros((2, 9, 16, 1))}, BadArgument, "9x16 pixels, which .* are for 8x6"),
        ({"images": np.full((2, 8, 6, 1), np.nan)}, Failed, "images .* is not of finite numbers"),
        ({"stem": np.array(["a"])}, Failed, "stem .* is not of finite numbers"),
        ({"stem": np.zeros(2, complex)}, Failed, "stem .* is not of finite numbers"),
    ],
)
def test_another_reference_is_refused(tmp_path, classifier, arrays, change, error, words):
    path = tmp_path / "reference.npz"
    np.savez(path, **{"images": arrays["images"], **change})
    with pytest.raises(error, match=words):
        check_weights(classifier, reference=path)


def test_images_of_another_size_where_the_network_takes_them(tmp_path):
    model = cnnjax.build("cnn", spec="conv4-relu-gap", num_classes=2)
    variables = model.init(jax.random.key(0), np.zeros((1, 8, 6, 1), np.float32), train=False)
    how = Preprocessing(8, 6, 1.0, "bicubic", (0.5,), (0.5,))
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 5, 7, 1)))
    classifier = cnnjax.Classifier(model, variables, how, ("a", "b"))
    rows = check_weights(classifier, reference=tmp_path / "a.npz")
    assert rows[0]["shape"] == (5, 7, 4)
    for path in (tmp_path, tmp_path / "none.npz"):
        with pytest.raises(BadArgument, match="reference: "):
            check_weights(classifier, reference=path)
