"""A folder is trained on as an array of the same images is: held or streamed, cut and resumed."""

import jax
import numpy as np
import pytest

from cnnjax import build
from cnnjax.data import Dataset, from_folder, split_off
from cnnjax.errors import BadArgument, Failed
from cnnjax.train import Hyper, Recipe, fit

Image = pytest.importorskip("PIL.Image")
NETWORK = build("cnn", num_classes=2, spec="conv4-relu-gap")
RECIPE, HYPER = Recipe(epochs=2, batch_size=8, augment=()), Hyper(learning_rate=0.1)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of two classes with twelve images each."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))
    draw = np.random.default_rng(0)
    for label in ("dark", "light"):
        (tmp_path / "x" / label).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 128, (8, 8, 3), np.uint8) + 127 * (label == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "x" / label / f"{number}.png")
    return tmp_path / "x"


def run(train_set, **arguments):
    return fit(NETWORK, train_set, None, RECIPE, HYPER, jax.random.key(0), **arguments)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one.state.params, other.state.params)


def test_held_or_streamed_and_as_an_array(folder):
    source = from_folder(folder)
    array = Dataset("x", "train", source.images, source.labels, source.class_names)
    held = run(source)
    same(held, run(array))
    streamed = run(source, stream=True)  # another program: to rounding
    close = lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, held.state.params, streamed.state.params)


def test_a_part_of_it_and_what_is_held_out(folder):
    train, held_out = split_off(from_folder(folder), 0.25, 0)
    done = run(train, validation=held_out)
    assert len(done.history) == 2
    assert {*train.files} | {*held_out.files} == {*from_folder(folder).files}


def test_resumed_only_with_the_same_images(folder, tmp_path):
    run(from_folder(folder), checkpoint_dir=tmp_path / "run")
    run(from_folder(folder), checkpoint_dir=tmp_path / "run")
    pixels = 255 - np.asarray(Image.open(folder / "dark" / "3.png"))
    Image.fromarray(pixels).save(folder / "dark" / "3.png")
    with pytest.raises((BadArgument, Failed), match="train"):
        run(from_folder(folder), checkpoint_dir=tmp_path / "run")
