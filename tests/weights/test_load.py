"""Loading: names and shapes are checked, heads and channels adapted, files written back."""

import json
import logging
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax import cli
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS
from cnnjax.weights import check_weights, load_model, load_weights, read_state_dict, save_weights
from cnnjax.weights.torch_names import to_state_dict, torch_names, torch_shapes

NAME = "resnet20_cifar"
DATA = Path(os.environ.get("CNNJAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PRETRAINED = DATA / "weights" / "cifar10_resnet20.safetensors"


@pytest.fixture(scope="module")
def variables():
    """Variables of resnet20 with every leaf different, as `init` structures them."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    model = cnnjax.build(NAME)
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    random = np.random.default_rng(0)
    # Kernels by their inputs, or twenty layers of positive sums overflow.
    draw = lambda leaf: random.uniform(0.5, 1.5, leaf.shape) / np.prod(leaf.shape[:-1])
    return jax.tree.map(lambda leaf: jnp.asarray(draw(leaf), leaf.dtype), tree)


@pytest.fixture
def state(variables):
    return to_state_dict(variables)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_what_is_saved_is_loaded(tmp_path, variables):
    save_weights(variables, tmp_path / "new" / "a.safetensors")
    assert_same(load_weights(NAME, tmp_path / "new" / "a.safetensors"), variables)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.safetensors"]
    with pytest.raises(BadArgument, match="safetensors"):
        save_weights(variables, tmp_path / "a.pth")


def test_counters_and_auxiliary_heads_are_ignored(variables, state):
    state["bn1.num_batches_tracked"] = np.int64(3)
    state["aux1.fc1.weight"] = state["AuxLogits.conv0.conv.weight"] = np.zeros(3)
    assert_same(load_weights(NAME, state), variables)


def test_one_error_names_all_that_does_not_fit(state):
    del state["layer1.0.bn1.running_var"]
    state["extra.weight"] = np.zeros((2, 3))
    state["layer2.0.conv1.weight"] = np.zeros((32, 16, 5, 5))
    with pytest.raises(BadArgument) as error:
        load_weights(NAME, state)
    message = str(error.value)
    assert "1 missing: layer1.0.bn1.running_var (16,)" in message
    assert "1 unexpected: extra.weight (2, 3)" in message
    assert "layer2.0.conv1.weight is (32, 16, 5, 5), expected (32, 16, 3, 3)" in message
    with pytest.raises(BadArgument, match=r"97 missing: .* and 89 more"):
        load_weights(NAME, {})


def test_another_number_of_classes_keeps_the_backbone(variables, state, caplog):
    with caplog.at_level(logging.WARNING, "cnnjax"):
        loaded = load_weights(NAME, state, num_classes=7, key=jax.random.key(1))
    assert "7 classes; initialised: linear.bias, linear.weight" in caplog.text
    assert loaded["params"]["linear"]["kernel"].shape == (64, 7)
    deviation = float(loaded["params"]["linear"]["kernel"].std())
    assert 0 < deviation < 0.5
    assert_same(
        {**loaded, "params": {**loaded["params"], "linear": 0}},
        {**variables, "params": {**variables["params"], "linear": 0}},
    )
    caplog.clear()
    model, _ = load_model(NAME, {**to_state_dict(loaded)})
    assert model.num_classes == 7
    assert not caplog.text
    assert_same(load_weights(NAME, state, num_classes=10), variables)
    assert not caplog.text


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_first_kernel_adapts_to_the_channels(state, channels):
    loaded = load_weights(NAME, state, channels=channels)
    kernel = loaded["params"]["conv1"]["kernel"]
    assert kernel.shape == (3, 3, channels, 16)
    original = state["conv1.weight"].transpose(2, 3, 1, 0)
    if channels % 3 == 0 or channels == 1:  # equal channels give what they gave
        np.testing.assert_allclose(kernel.sum(2), original.sum(2), rtol=1e-5)
    if channels > 1:
        np.testing.assert_allclose(kernel[:, :, 0] * channels / 3, original[:, :, 0], rtol=1e-6)


def test_half_precision_becomes_float32(variables, state):
    loaded = load_weights(NAME, {n: a.astype(np.float16) for n, a in state.items()})
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {jnp.dtype("float32")}


def test_sources_that_are_neither(tmp_path):
    for source in ("resnet50", "no/such/thing", tmp_path):
        with pytest.raises(BadArgument, match=r"hub|\.safetensors"):
            load_weights(NAME, source)
    with pytest.raises(BadArgument, match="no file"):
        load_weights(NAME, "no/such.pth")
    with pytest.raises(BadArgument, match="resnet20_cifar"):
        load_weights("resnet20_cifra", {})


def test_hub_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Failed, match=r"cnnjax\[hub\]"):
        load_weights(NAME, "timm/resnet50.a1_in1k")


def test_hub_offline_and_cached(monkeypatch, tmp_path, variables):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Failed, match="owner/net: not in the local cache"):
        load_weights(NAME, "owner/net")
    commit = "0" * 40
    repository = tmp_path / "models--owner--net"
    save_weights(variables, repository / "snapshots" / commit / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    assert_same(load_weights(NAME, "owner/net"), variables)


def test_names_of_every_network_are_unique():
    for name in ("resnet18", "squeezenet1_0", "shufflenet_v2_x0_5", "convnext_tiny"):
        if name not in MODELS:
            continue
        model = cnnjax.build(name)
        images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
        tree = jax.eval_shape(
            lambda k, x, m=model: m.init(k, x, train=False), jax.random.key(0), images
        )
        names = torch_names(tree)
        assert len(set(names.values())) == len(names) == len(torch_shapes(tree))


def test_check_finds_the_stage_that_differs(tmp_path, variables, capsys):
    save_weights(variables, tmp_path / "a.safetensors")
    images = np.asarray(jax.random.normal(jax.random.key(1), (2, 32, 32, 3)))
    model = cnnjax.build(NAME)
    logits, stages = model.apply(variables, images, train=False, features=True)
    arrays = {name: np.asarray(a) for name, a in {**stages, "logits": logits}.items()}
    arrays["stage2"] = arrays["stage2"] + 0.5 * np.abs(arrays["stage2"]).max()
    reference = tmp_path / "reference.npz"
    np.savez(reference, images=images, **arrays)
    rows = {
        row["stage"]: row
        for row in check_weights(NAME, tmp_path / "a.safetensors", reference=reference)
    }
    assert list(rows) == list(arrays)
    for stage, row in rows.items():
        scale = np.abs(arrays[stage]).max()
        assert (row["difference"] > 0.1 * scale) == (stage == "stage2")
    as_torch = {n: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for n, a in arrays.items()}
    np.savez(reference, images=images.transpose(0, 3, 1, 2), **as_torch)
    command = ["weights", "check", NAME, str(tmp_path / "a.safetensors"), "--json"]
    assert cli.main([*command, "--reference", str(reference)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in printed] == list(rows)
    np.testing.assert_allclose(printed[-1]["spread"], arrays["logits"].std(), rtol=1e-4)
    np.savez(reference, images=images, stage9=images)
    with pytest.raises(BadArgument, match="stage9"):
        check_weights(NAME, tmp_path / "a.safetensors", reference=reference)


@pytest.mark.skipif(not PRETRAINED.exists(), reason="real weights are absent")
def test_real_weights_fit(tmp_path):
    loaded = load_weights(NAME, PRETRAINED)
    save_weights(loaded, tmp_path / "again.safetensors")
    again, original = read_state_dict(tmp_path / "again.safetensors"), read_state_dict(PRETRAINED)
    assert again.keys() == original.keys()
    for name, array in original.items():
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.slow
@pytest.mark.skipif(not PRETRAINED.exists(), reason="real weights are absent")
def test_real_weights_reach_their_accuracy():
    """91.73 % on the CIFAR-10 test set, as published with the weights."""
    from cnnjax.data import load

    test = load("cifar10", "test", DATA / "tfds")
    model, variables = load_model(NAME, PRETRAINED)
    mean, std = jnp.array([0.485, 0.456, 0.406]), jnp.array([0.229, 0.224, 0.225])

    @jax.jit
    def predict(images):
        pixels = (images.astype(jnp.float32) / 255 - mean[None, None, None]) / std[None, None, None]
        return model.apply(variables, pixels, train=False).argmax(-1)

    labels = np.concatenate([predict(test.images[i : i + 500]) for i in range(0, len(test), 500)])
    assert abs((labels == test.labels).mean() - 0.9173) < 0.0005
