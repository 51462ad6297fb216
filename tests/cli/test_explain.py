"""`cnnjax explain` draws what speaks for the class that was asked for, and says which class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnjax
from cnnjax.cli import explain, main
from cnnjax.data import Preprocessing
from cnnjax.errors import BadArgument, Failed
from cnnjax.plot.attribution import overlay, signed
from cnnjax.weights import About, save_weights

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("matplotlib")
SPEC = "conv4-relu-gap"
NAMES = ("circle", "square", "star")
HOW = Preprocessing(10, 14, 1.0, "bicubic", (0.25,), (0.5,))


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


@pytest.fixture
def weights(tmp_path):
    """A grey network for images of 10x14, with random weights, and its file."""
    model = cnnjax.build("cnn", spec=SPEC, num_classes=3)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 10, 14, 1)), train=False)
    random = np.random.default_rng(1)
    variables = jax.tree.map(lambda leaf: jnp.float32(random.normal(size=leaf.shape)), variables)
    head = variables["params"]["classifier"]
    head["bias"] = head["bias"].at[1].add(4)  # the likeliest class is not the first
    about = About(NAMES, HOW, {"spec": SPEC}, "cnn")
    save_weights(variables, tmp_path / "w.safetensors", about=about)
    return variables


@pytest.fixture
def pixels(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (10, 14)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    return noise[..., None]


@pytest.fixture
def drawn(monkeypatch):
    """What the command hands to be drawn, by the function that draws it."""
    seen = {}

    def watch(name):
        draw = getattr(explain, name)

        def watched(*content):
            seen[name] = content
            return draw(*content)

        monkeypatch.setattr(explain, name, watched)

    for name in ("attribution_panels", "filter_grid", "overlay", "signed"):
        watch(name)
    return seen


def maps_of(variables, pixels):
    """The activations `[H, W, 4]` of the one convolution, in numpy."""
    params = jax.tree.map(np.float64, variables["params"])["0.conv4"]
    padded = np.pad((pixels / 255 - 0.25) / 0.5, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return np.maximum(np.einsum("hwcij,ijco->hwo", windows, params["kernel"]) + params["bias"], 0)


@pytest.mark.parametrize("target", ["circle", "Square", "2", None])
def test_the_pictures_are_those_of_the_class(tmp_path, weights, pixels, drawn, capsys, target):
    maps = maps_of(weights, pixels)
    head = jax.tree.map(np.float64, weights["params"]["classifier"])
    logits = maps.mean(axis=(0, 1)) @ head["kernel"] + head["bias"]
    likely = np.exp(logits) / np.exp(logits).sum()
    index = int(likely.argmax()) if target is None else {"circle": 0, "Square": 1, "2": 2}[target]
    command = ["explain", "cnn", str(tmp_path / "noise.png"), "--steps", "400"]
    command += ["--weights", str(tmp_path / "w.safetensors")]
    command += ["--out", str(tmp_path / "new" / "out.png")]
    command += ["--filters", str(tmp_path / "new" / "filters.png")]
    assert main(command + ([] if target is None else ["--target", target])) == 0
    assert likely.argmax() != 0
    shown = f"{NAMES[index]}, {likely[index]:.1%}"
    assert capsys.readouterr().out.startswith(f"{shown}; see {tmp_path}")
    (panels,), (kernel,) = drawn["attribution_panels"], drawn["filter_grid"]
    assert list(panels) == [
        f"noise.png\n{shown}",
        "Grad-CAM\nlight: evidence for the class",
        "integrated gradients\nred: for the class, blue: against",
    ]
    np.testing.assert_allclose(panels[f"noise.png\n{shown}"], pixels / 255, atol=1e-6)
    # Grad-CAM of a mean over positions: the class's weights of the maps, over their number.
    image, places = drawn["overlay"]
    evidence = np.maximum(maps @ head["kernel"][:, index] / (10 * 14), 0)
    np.testing.assert_allclose(places, evidence, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(image, pixels / 255, atol=1e-6)
    # Completeness: what all pixels add is the logit less that of the image of mean color.
    (parts,) = drawn["signed"]
    base = maps_of(weights, np.full(pixels.shape, 0.25 * 255)).mean(axis=(0, 1)) @ head["kernel"]
    whole = logits[index] - base[index] - head["bias"][index]
    assert parts.shape == (10, 14, 1)
    assert parts.sum() == pytest.approx(whole, abs=0.02 * float(np.abs(parts).sum()))
    np.testing.assert_array_equal(kernel, weights["params"]["0.conv4"]["kernel"])
    pictures = list(panels.values())
    np.testing.assert_array_equal(pictures[1], overlay(image, places))
    np.testing.assert_array_equal(pictures[2], signed(parts))
    for name in ("out.png", "filters.png"):
        with Image.open(tmp_path / "new" / name) as picture:
            assert picture.format == "PNG"
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_stage_and_the_steps_are_those_asked_for(tmp_path, weights, pixels, drawn, capsys):
    command = ["explain", "cnn", str(tmp_path / "noise.png"), "--target", "star"]
    command += ["--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "out.png")]
    assert main([*command, "--steps", "1"]) == 0
    (one,) = drawn["signed"]
    # One step: the gradient at half the way, times the way; in numpy by differences.
    way = (pixels / 255 - 0.25) / 0.5
    head = np.float64(weights["params"]["classifier"]["kernel"])[:, 2]
    at = lambda x: maps_of(weights, 255 * (0.5 * x + 0.25)).mean(axis=(0, 1)) @ head
    for place in ((3, 4, 0), (9, 13, 0)):
        step = np.zeros(way.shape)
        step[place] = 1e-6
        slope = (at(way / 2 + step) - at(way / 2 - step)) / 2e-6
        assert one[place] == pytest.approx(slope * way[place], rel=1e-3, abs=1e-6)
    assert main([*command, "--stage", "logits"]) == 2
    assert main([*command, "--steps", "0"]) == 2
    assert main([*command[:-1], "a.pdf"]) == 2
    assert main([*command, "--filters", "a.jpg"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "stage: unknown name 'logits'" in errors[0]
    assert "steps: received 0" in errors[1]
    assert "names ending in .png" in errors[2]
    assert "'a.jpg', allowed: names ending in .png" in errors[3]


def test_a_network_without_maps_writes_nothing(tmp_path, pixels, capsys):
    model = cnnjax.build("cnn", spec="fc4-relu", num_classes=3)
    images = jax.ShapeDtypeStruct((1, 10, 14, 1), jnp.float32)
    tree = jax.eval_shape(lambda k, x: model.init(k, x, train=False), jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), tree)
    about = About(NAMES, HOW, {"spec": "fc4-relu"}, "cnn")
    save_weights(variables, tmp_path / "w.safetensors", about=about)
    command = ["explain", "cnn", str(tmp_path / "noise.png"), "--out", str(tmp_path / "out.png")]
    command += ["--weights", str(tmp_path / "w.safetensors"), "--filters", str(tmp_path / "f.png")]
    assert main(command) == 2
    assert "has no maps" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.png", "w.safetensors"]
    with pytest.raises(Failed, match="cnn begins with no convolution"):
        explain._first_kernel("cnn", cnnjax.load("cnn", tmp_path / "w.safetensors"))


def test_classes_are_found_by_name_and_number():
    names = ("tench", "goldfish", "tiger cat", "0")
    found = [explain._find(text, names) for text in ("2", "Goldfish", "tiger cat", "0")]
    assert found == [2, 1, 2, 3]
    with pytest.raises(BadArgument, match="did you mean 'goldfish'"):
        explain._find("goldfihs", names)
    with pytest.raises(BadArgument, match="did you mean 'tiger cat'"):
        explain._find("cat", names)
    with pytest.raises(BadArgument, match=r"allowed: 0\.\.3"):
        explain._find("4", names)
