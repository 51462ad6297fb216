"""Loading: names and shapes are checked, heads and channels adapted, files written back."""

import logging
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import cnnjax
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.models import MODELS
from cnnjax.weights import About, head_of, load_model, load_weights, read_state_dict, save_weights
from cnnjax.weights.adapt import new_head
from cnnjax.weights.load import load_with_facts
from cnnjax.weights.torch_names import to_state_dict, torch_names, torch_shapes

NAME = "resnet20_cifar"
DATA = Path(os.environ.get("CNNJAX_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PRETRAINED = DATA / "weights" / "cifar10_resnet20.safetensors"


def shapes_of(model, image_shape=(32, 32, 3)):
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)


@pytest.fixture(scope="module")
def variables():
    """Variables of resnet20 with every leaf different, as `init` structures them."""
    tree = shapes_of(cnnjax.build(NAME))
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
    assert (
        f"{NAME}: the state dict has no head for 7 classes; initialized: linear.bias, linear.w"
        in (caplog.text)
    )
    head = loaded["params"]["linear"]
    assert {leaf: value.shape for leaf, value in head.items()} == {"kernel": (64, 7), "bias": (7,)}
    assert not any(value.any() for value in head.values())  # the first loss is ln 7
    assert_same(
        {**loaded, "params": {**loaded["params"], "linear": 0}},
        {**variables, "params": {**variables["params"], "linear": 0}},
    )
    caplog.clear()
    model, again = load_model(NAME, to_state_dict(loaded))
    assert model.num_classes == 7
    assert_same(again, loaded)
    assert_same(load_weights(NAME, state, num_classes=10), variables)
    assert not caplog.text


def test_a_head_that_is_a_convolution_is_drawn_from_the_key():
    """NiN's logits are a ReLU's means: at 0 it would pass no gradient."""
    model = cnnjax.build("nin_cifar")
    state = to_state_dict(jax.tree.map(lambda leaf: np.ones(leaf.shape), shapes_of(model)))
    name = "features.stage3.unit3.conv"
    kernels = []
    for key in (jax.random.key(1), jax.random.key(2), jax.random.key(1), None, jax.random.key(0)):
        loaded = load_weights("nin_cifar", state, num_classes=3, key=key)
        head = to_state_dict(loaded)
        assert not head[f"{name}.bias"].any()
        kernels.append(head[f"{name}.weight"])
    assert not np.array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[0], kernels[2])
    np.testing.assert_array_equal(kernels[3], kernels[4])
    assert not np.array_equal(kernels[0], kernels[3])
    bound = kernels[0][0].size ** -0.5  # torch's default: uniform in +-1 / sqrt(fan in)
    assert kernels[0].shape == (3, 192, 1, 1)
    assert np.abs(kernels[0]).max() <= bound
    assert kernels[0].std() == pytest.approx(bound / 3**0.5, rel=0.1)
    with pytest.raises(BadArgument, match="key: received 0"):
        load_weights("nin_cifar", state, num_classes=3, key=0)


def test_every_kernel_of_a_new_head_has_a_draw_of_its_own():
    shapes = {
        "a.weight": (4, 5, 3, 3),
        "b.weight": (4, 5, 3, 3),
        "c.weight": (4, 5),
        "c.bias": (4,),
    }
    head = new_head(shapes, jax.random.key(3))
    assert {name: array.shape for name, array in head.items()} == shapes
    assert {array.dtype for array in head.values()} == {np.dtype(np.float32)}
    assert not np.array_equal(head["a.weight"], head["b.weight"])
    assert np.abs(head["a.weight"]).max() <= 45**-0.5 < 1.1 * np.abs(head["a.weight"]).max()
    assert head["a.weight"].min() < -0.9 * 45**-0.5
    assert not head["c.weight"].any()
    assert not head["c.bias"].any()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("efficientnet_lite0", ("classifier",)),
        ("airbench94_cifar", ("7",)),
        ("lenet5", ("fc3",)),
    ],
)
def test_the_head_is_what_depends_on_the_number_of_classes(name, head):
    assert head_of(cnnjax.build(name), (64, 64, 1)) == head


class Own(nn.Module):
    num_classes: int = 3

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(self.num_classes, name="out")(nn.relu(nn.Dense(4)(images.mean((1, 2)))))


class Fixed(Own):
    num_classes: str = "three"

    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.mean((1, 2)))


class Idle(Own):
    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.mean((1, 2)))


def test_the_head_of_a_module_of_ones_own():
    assert head_of(Own(), (8, 8, 3)) == ("out",)
    with pytest.raises(BadArgument, match="Fixed has no field num_classes"):
        head_of(Fixed())
    with pytest.raises(BadArgument, match="no submodule of Idle"):
        head_of(Idle())


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


def test_only_the_first_kernel_is_adapted():
    """A later kernel of three inputs is no image's."""
    sizes = {"0.conv3.weight": (3, 3, 3, 3), "2.conv1.weight": (1, 3, 3, 3)}
    random = np.random.default_rng(0)
    state = {name: random.normal(size=shape) for name, shape in sizes.items()}
    state |= {name.replace("weight", "bias"): np.ones(shape[0]) for name, shape in sizes.items()}
    state |= {"classifier.weight": np.ones((10, 1)), "classifier.bias": np.ones(10)}
    loaded = load_weights("cnn", state, spec="conv3-relu-conv1-gap", channels=6, pixels=8)
    found = to_state_dict(loaded)
    assert found["0.conv3.weight"].shape == (3, 6, 3, 3)
    np.testing.assert_allclose(found["2.conv1.weight"], state["2.conv1.weight"], rtol=1e-6)
    refused = {**state, "0.conv3.weight": np.ones((3, 4, 3, 3))}
    with pytest.raises(BadArgument, match=r"0\.conv3\.weight is \(3, 4, 3, 3\), expected \(3, 6"):
        load_weights("cnn", refused, spec="conv3-relu-conv1-gap", channels=6, pixels=8)


@pytest.mark.parametrize("channels", [1, 3, 4, 13])
@pytest.mark.parametrize("spec", ["conv4-relu-gap", "fc5"])
def test_weights_tell_of_how_many_channels_they_are(channels, spec):
    model = cnnjax.build("cnn", spec=spec, num_classes=3)
    tree = shapes_of(model, (32, 32, channels))
    state = to_state_dict(jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), tree))
    found = load_with_facts("cnn", state, spec=spec)
    assert found.image_shape == (32, 32, channels)
    assert_same(jax.tree.map(jnp.shape, found.variables), jax.tree.map(lambda x: x.shape, tree))


def save_cnn(path, **changes):
    """A file that says: 12x20 images of one channel, two classes, a spec."""
    model = cnnjax.build("cnn", spec="conv4-relu-fc3", num_classes=2)
    tree = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes_of(model, (12, 20, 1)))
    how = Preprocessing(12, 20, 1.0, "bicubic", (0.5,), (0.5,))
    fields = {"spec": "conv4-relu-fc3"}
    save_weights(tree, path, about=About(("no", "yes"), how, fields, "cnn", **changes))
    return tree


def test_a_file_knows_what_it_is_for_and_arguments_know_better(tmp_path):
    path = tmp_path / "weights.safetensors"
    tree = save_cnn(path)
    for source in (path, str(path), tmp_path):  # a directory that `train` left
        found = load_with_facts("cnn", source)
        assert found.image_shape == (12, 20, 1)
        assert (found.model.spec, found.model.num_classes) == ("conv4-relu-fc3", 2)
        assert not found.has_new_head
        assert_same(found.variables, tree)
    new = load_with_facts("cnn", path, num_classes=5)
    assert (new.model.num_classes, new.has_new_head) == (5, True)
    assert new.about.class_names == ("no", "yes")
    with pytest.raises(BadArgument, match=r"2 missing: 2\.fc4\.bias .*2 unexpected: 2\.fc3"):
        load_model("cnn", path, spec="conv4-relu-fc4")
    with pytest.raises(BadArgument, match=r"2\.fc3\.weight is .*, expected"):
        load_model("cnn", path, pixels=12)
    with pytest.raises(BadArgument, match=r"2\.fc3\.weight is .*, expected"):
        load_model("cnn", path, pixels=(20, 11))
    assert load_with_facts("cnn", path, pixels=(20, 12)).image_shape == (20, 12, 1)
    with pytest.raises(BadArgument, match=r"0\.conv4\.weight is \(4, 1, 3, 3\), expected \(4, 3"):
        load_model("cnn", path, channels=3)


@pytest.mark.parametrize("value", [0, -1, 20_000, 1.5, "8", True, (8,), (8, 0), (8, 8, 8)])
def test_sizes_that_no_image_has(state, value):
    with pytest.raises(BadArgument, match="pixels: received"):
        load_weights(NAME, state, pixels=value)
    if not isinstance(value, tuple):
        with pytest.raises(BadArgument, match="channels: received"):
            load_weights(NAME, state, channels=value)


def test_a_file_of_another_network_says_whose_it_is(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_cnn(path)
    words = r"does not fit lenet5: these are weights of cnn, built with spec, which lenet5"
    with pytest.raises(BadArgument, match=words):
        load_model("lenet5", path)
    how = Preprocessing(32, 32, 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    for field in ("name", "parent"):  # Linen's, of every module
        about = About(("x",) * 10, how, {field: "x"})
        save_weights(load_weights(NAME, state), path, about=about)
        with pytest.raises(BadArgument, match=f"weights of another network, built with {field}"):
            load_model(NAME, path)
    save_weights(
        load_weights(NAME, state), path, about=About(("x",) * 10, how, network="vgg\x1b[0m")
    )
    with pytest.raises(BadArgument, match=r"fit resnet8_cifar; .*; these are weights of vgg\\x1b"):
        load_model("resnet8_cifar", path)
    # Of a file that says nothing, the numbers of parameters and statistics tell.
    with pytest.raises(BadArgument, match=f"fit resnet8_cifar; .*; these are weights of {NAME}$"):
        load_model("resnet8_cifar", state)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_weights_that_are_not_finite_are_refused(state, bad):
    state["layer1.0.bn1.weight"] = state["layer1.0.bn1.weight"].astype(np.float64)
    state["layer1.0.bn1.weight"][3] = bad  # 1e300 is not finite in float32
    with pytest.raises(Failed, match=r"the state dict: layer1\.0\.bn1\.weight has .* not finite"):
        load_weights(NAME, state)


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
