import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnnjax.data import from_arrays
from cnnjax.data.augment import (
    AlternatingFlip,
    Moment,
    alternating_flip,
    random_crop,
    random_erasing,
    random_resized_crop,
    random_vertical_flip,
)
from cnnjax.data.augment.boxes import inside, random_boxes
from cnnjax.data.augment.resized import resample
from cnnjax.errors import BadArgument
from cnnjax.train import Hyper, Recipe, fit

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 12, 9, 3)).astype(np.uint8)
KEY = jax.random.key(0)


def test_reflected_crops_are_windows_of_numpy_s_padding():
    crops = np.asarray(random_crop(KEY, jnp.asarray(IMAGES), 3, "reflect"))
    for image, crop in zip(IMAGES, crops, strict=True):
        padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, image.shape)
        assert (windows == crop).all((-1, -2, -3)).any()


def test_half_of_the_images_are_upside_down():
    images = np.repeat(IMAGES[:1], 1000, axis=0)
    found = np.asarray(random_vertical_flip(KEY, images))
    down = (found == IMAGES[0][::-1]).all((1, 2, 3))
    assert (down | (found == IMAGES[0]).all((1, 2, 3))).all()
    assert abs(down.mean() - 0.5) < 4 * 0.5 / np.sqrt(1000)


def test_flips_alternate_by_epoch_whatever_the_order():
    images = np.repeat(IMAGES[:1], 1000, axis=0)
    indices = RNG.permutation(1000)
    flipped = []
    for epoch in range(3):
        order = RNG.permutation(1000)
        found = alternating_flip(KEY, images, jnp.asarray(indices[order]), epoch)
        seen = np.empty(1000, bool)
        seen[indices[order]] = (np.asarray(found) == IMAGES[0][:, ::-1]).all((1, 2, 3))
        flipped.append(seen)
    np.testing.assert_array_equal(flipped[0], flipped[2])
    np.testing.assert_array_equal(flipped[0], ~flipped[1])
    assert abs(flipped[0].mean() - 0.5) < 4 * 0.5 / np.sqrt(1000)
    with pytest.raises(BadArgument, match=r"indices: received shape \[2\], allowed: \[6\]"):
        alternating_flip(KEY, jnp.asarray(IMAGES), jnp.arange(2), 0)


def told(key, images, targets, moment: Moment):
    """Write what a batch is told into its pixels: the images' places, and the epoch."""
    both = jnp.stack([moment.indices, jnp.full_like(moment.indices, moment.epoch)], axis=1)
    return images.at[:, 0, :2, 0].set(both.astype(images.dtype)), targets


@pytest.mark.parametrize("stream", [False, True])
def test_a_run_says_epoch_and_places(stream):
    """The mark that each image has is its place: the loss counts where it is not as told."""
    images = np.zeros((12, 4, 4, 1), np.uint8)
    images[:, 1, 0, 0] = np.arange(12)
    dataset = from_arrays(images, np.arange(12) % 2)

    def wrong(key, images, targets, moment: Moment):
        images, targets = told(key, images, targets, moment)
        rows = images[..., 0].astype(jnp.float32)
        return rows[..., None], jnp.where(
            (rows[:, 0, 0] == rows[:, 1, 0])[:, None],
            jnp.eye(2)[rows[:, 0, 1].astype(int) % 2],
            0.5,
        )

    import flax.linen as nn

    class Blank(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            bias = self.param("bias", nn.initializers.zeros, (1, 2))
            return jnp.zeros((len(images), 2)) + jnp.asarray([[9.0, 0.0]]) + 0 * bias

    recipe = Recipe(epochs=4, batch_size=6, augment=(wrong,))
    hyper = Hyper(learning_rate=0.0)
    run = fit(Blank(), dataset, None, recipe, hyper, KEY, stream=stream)
    assert [entry["train_accuracy"] for entry in run.history] == [1, 0, 1, 0]
    assert AlternatingFlip()(KEY, images, None, Moment(0, jnp.arange(12), KEY))[0].shape[0] == 12


@pytest.mark.parametrize("box", [(0, 0, 12, 9), (2, 1, 5, 4), (7, 3, 3, 5), (0, 8, 12, 1)])
def test_a_part_is_resized_as_pillow_resizes_it(box):
    top, left, height, width = box
    found = np.asarray(resample(jnp.asarray(IMAGES), jnp.asarray([box] * len(IMAGES))))
    for image, each in zip(IMAGES, found, strict=True):
        part = Image.fromarray(image).crop((left, top, left + width, top + height))
        expected = np.asarray(part.resize((9, 12), Image.Resampling.BILINEAR), int)
        # Pillow rounds after each axis and has weights of limited precision.
        assert np.abs(expected - each).max() <= 1


def test_random_boxes_have_the_areas_and_proportions_that_were_asked_for():
    size, scale, ratio = (200, 300), (0.1, 0.3), (0.5, 2.0)
    found = np.asarray(
        random_boxes(KEY, 4000, size, scale, ratio, most=size, otherwise=(1, 1)), float
    )
    top, left, height, width = found.T
    assert (top >= 0).all()
    assert (top + height <= 200).all()
    assert (left >= 0).all()
    assert (left + width <= 300).all()
    area, shape = height * width / 60000, width / height
    assert 0.099 < area.min() < 0.11
    assert 0.28 < area.max() < 0.303
    assert 0.49 < shape.min() < 0.52
    assert 1.9 < shape.max() < 2.02
    assert abs(np.log(shape).mean()) < 0.03
    room = 200 - height
    assert abs(np.mean(top / room) - 0.5) < 0.02


def test_what_never_fits_is_the_central_box():
    images = jnp.asarray(np.repeat(IMAGES[:1], 4, axis=0))
    found = random_resized_crop(KEY, images, scale=(1, 1), ratio=(4, 4))
    central = jnp.asarray([[5, 0, 2, 9]] * 4)  # 9 wide, 9 / 4 high
    np.testing.assert_array_equal(found, resample(images, central))


def test_erasing_is_one_rectangle_of_the_area_asked_for():
    images = jnp.full((2000, 32, 32, 1), 7, jnp.uint8)
    gone = np.asarray(random_erasing(KEY, images, 0.5, (0.1, 0.2), (0.5, 2)))[..., 0] == 0
    hit = gone.any((1, 2))
    assert abs(hit.mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)
    for hole in gone[hit]:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert 0.09 < hole.mean() < 0.22
        assert 0.4 < len(columns) / len(rows) < 2.5
    noisy = np.asarray(random_erasing(KEY, images, 1.0, (0.3, 0.3), (1, 1), noise=True))
    drawn = noisy[noisy != 7].astype(float)
    assert abs(drawn.mean() - 127.5) < 1
    assert noisy.max() == 255


def test_inside_is_the_rectangle():
    mask = np.asarray(inside(jnp.asarray([[1, 2, 3, 4], [0, 0, 0, 0]]), (6, 7)))
    expected = np.zeros((2, 6, 7), bool)
    expected[0, 1:4, 2:6] = True
    np.testing.assert_array_equal(mask, expected)
