"""Resized images against Pillow's and JAX's, whose kernels are the same."""

import jax
import numpy as np
import pytest

from cnnjax.data import Dataset, Resize, resize, resize_images
from cnnjax.data.photographs import fit_photograph
from cnnjax.data.resizing import INTERPOLATIONS, MOST_PIXELS
from cnnjax.errors import BadArgument, Failed
from cnnjax.runtime import memory

NOISE = np.random.default_rng(0).integers(0, 256, (3, 20, 31, 3), np.uint8)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("pixels", [1, 7, 20, 25, 31, 64])
def test_as_pillow_does_it(interpolation, pixels):
    image = pytest.importorskip("PIL.Image")
    method = image.Resampling[interpolation.upper()]
    result = resize_images(NOISE, pixels, interpolation, "squash")
    assert (result.dtype, result.shape) == (np.uint8, (3, pixels, pixels, 3))
    for number, channel in np.ndindex(3, 3):
        # As floats: of bytes Pillow rounds and clips once more, between rows and columns.
        floats = image.fromarray(NOISE[number, ..., channel].astype(np.float32))
        expected = np.clip(np.asarray(floats.resize((pixels, pixels), method)), 0, 255)
        assert np.abs(result[number, ..., channel] - expected).max() <= 0.5 + 1e-3


def test_photographs_differ_from_pillows_by_one_level_at_most():
    image = pytest.importorskip("PIL.Image")
    rows, columns, channels = np.ogrid[:40, :60, :3]
    smooth = 127 + 120 * np.sin(rows / 5 + channels) * np.cos(columns / 7)
    smooth = smooth.astype(np.uint8)
    for pixels in (11, 50, 96):
        expected = image.fromarray(smooth).resize((pixels, pixels), image.Resampling.BICUBIC)
        result = resize_images(smooth[None], pixels, mode="squash")[0]
        assert np.abs(result.astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize(("interpolation", "name"), [("bilinear", "linear"), ("bicubic", "cubic")])
@pytest.mark.parametrize("pixels", [9, 40])
def test_as_jax_does_it(interpolation, name, pixels):
    floats = jax.image.resize(NOISE.astype(np.float32), (3, pixels, pixels, 3), name)
    expected = np.clip(np.asarray(floats), 0, 255)
    result = resize_images(NOISE, pixels, interpolation, "squash")
    assert np.abs(result - expected).max() <= 0.5 + 1e-3  # rounded to the nearest


@pytest.mark.parametrize("pixels", [8, 33])
@pytest.mark.parametrize("shape", [(40, 61), (61, 40), (24, 24)])
def test_modes_are_pillows_resizing_cut_or_framed(pixels, shape):
    image = pytest.importorskip("PIL.Image")
    rows, columns, channels = np.ogrid[: shape[0], : shape[1], :3]
    smooth = 127 + 120 * np.sin(rows / 9 + channels) * np.cos(columns / 11)
    photograph = smooth.astype(np.uint8)
    least = min(shape)
    top, left = ((length - least) / 2 for length in shape)
    cut = image.fromarray(photograph).resize(
        (pixels, pixels), image.Resampling.BICUBIC, (left, top, left + least, top + least)
    )
    sides = [round(length * pixels / max(shape)) for length in shape]
    whole = image.fromarray(photograph).resize(sides[::-1], image.Resampling.BICUBIC)
    framed = np.zeros((pixels, pixels, 3), np.uint8)
    top, left = ((pixels - side) // 2 for side in sides)
    framed[top : top + sides[0], left : left + sides[1]] = whole
    for mode, expected in (("center", np.asarray(cut)), ("pad", framed)):
        ours = resize_images(photograph[None], pixels, "bicubic", mode)[0]
        assert np.abs(ours.astype(int) - expected).max() <= 1
        with_pillow = fit_photograph(photograph, size=pixels, crop_mode=mode)
        np.testing.assert_array_equal(with_pillow, expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("224", Resize(224)),
        (96, Resize(96, "center", "bicubic")),
        ("224:pad", Resize(224, "pad")),
        (Resize(7, "squash", "bilinear"), Resize(7, "squash", "bilinear")),
        (None, None),
    ],
)
def test_a_resize_is_written_as_pixels_and_mode(text, value):
    assert Resize.of(text) == value


@pytest.mark.parametrize("text", ["", "a", "2.5", "-3", ":pad", "224:", "224:zoom", "0", "²"])
def test_no_resize(text):
    with pytest.raises(BadArgument, match=r"resize|mode"):
        Resize.of(text)


def test_the_two_kernels_differ_and_bicubic_is_the_usual_one():
    bilinear, bicubic = (resize_images(NOISE, 50, name) for name in ("bilinear", "bicubic"))
    assert np.abs(bilinear.astype(int) - bicubic).max() > 10
    np.testing.assert_array_equal(resize_images(NOISE, 50), bicubic)
    np.testing.assert_array_equal(resize_images(NOISE, 9), resize_images(NOISE, 9, "bicubic"))


def test_the_same_size_changes_nothing_and_blocks_do_not_show(monkeypatch):
    square = NOISE[:, :, :20]
    np.testing.assert_array_equal(resize_images(square, 20), square)
    whole = resize_images(NOISE, 9)
    monkeypatch.setattr("cnnjax.data.resizing._AT_ONCE", 2 * 20 * 31 * 3)
    np.testing.assert_array_equal(resize_images(NOISE, 9), whole)
    monkeypatch.setattr("cnnjax.data.resizing._AT_ONCE", 1)
    np.testing.assert_array_equal(resize_images(NOISE, 9), whole)


def test_a_dataset_keeps_all_but_its_images():
    dataset = Dataset("x", "train", NOISE, np.arange(3), ("a", "b", "c"))
    small = resize(dataset, 8, "bilinear")
    np.testing.assert_array_equal(small.images, resize_images(NOISE, 8, "bilinear"))
    np.testing.assert_array_equal(resize(dataset, 8).images, resize_images(NOISE, 8, "bicubic"))
    np.testing.assert_array_equal(small.labels, dataset.labels)
    assert (small.name, small.split, small.class_names) == ("x", "train", ("a", "b", "c"))


@pytest.mark.parametrize(
    ("images", "arguments", "words"),
    [
        (NOISE, (0,), "pixels: received 0, allowed: integers from 1 to 8192"),
        (NOISE, (2.5,), "pixels: received 2.5"),
        (NOISE, (True,), "pixels: received True"),
        (NOISE, (MOST_PIXELS + 1,), "pixels: received 8193"),
        (NOISE, (10**20,), "pixels: received 100000000000000000000"),
        (NOISE, (8, "nearest"), "interpolation: unknown name 'nearest'"),
        (NOISE[0], (8,), r"received uint8 \[20, 31, 3\]"),
        (NOISE / 255, (8,), r"received float64 \[3, 20, 31, 3\]"),
    ],
)
def test_bad_arguments(images, arguments, words):
    with pytest.raises(BadArgument, match=words):
        resize_images(images, *arguments)


def test_memory_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * 16 * 16 * 3)
    assert resize_images(NOISE, 16).shape == (3, 16, 16, 3)
    with pytest.raises(Failed, match=r"3 images of 17x17x3 takes .* is left; take fewer"):
        resize_images(NOISE, 17)
