import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from cnnjax.data.augment import GaussianBlur, color_jitter, gaussian_blur, random_gray
from cnnjax.data.augment.color import turn_hue
from cnnjax.errors import BadArgument

RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (5, 8, 7, 3)).astype(np.uint8)
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("place", "enhance"),
    [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
def test_each_change_is_pillow_s_of_some_factor(place, enhance):
    strengths = [0.0] * 4
    strengths[place] = 0.5
    found = np.asarray(color_jitter(KEY, jnp.asarray(IMAGES), *strengths), int)
    seen = set()
    for image, each in zip(IMAGES, found, strict=True):
        factors = np.linspace(0.5, 1.5, 401)
        pillow = Image.fromarray(image)
        errors = [
            np.abs(np.asarray(enhance(pillow).enhance(factor), int) - each).max()
            for factor in factors
        ]
        assert min(errors) <= 2  # the factors are on a grid, and Pillow rounds down, d as well
        seen.add(float(factors[np.argmin(errors)]))
    assert len(seen) == len(IMAGES)


def test_hue_is_the_one_of_colorsys():
    turn = np.linspace(-0.5, 0.5, 5).astype(np.float32)
    found = np.asarray(turn_hue(jnp.asarray(IMAGES, jnp.float32), turn))
    for number, (image, each) in enumerate(zip(IMAGES, found, strict=True)):
        for pixel, got in zip(image.reshape(-1, 3), each.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255)
            expected = colorsys.hsv_to_rgb((hue + turn[number]) % 1, saturation, value)
            np.testing.assert_allclose(got, 255 * np.array(expected), atol=2e-3)


def test_jitter_of_nothing_is_nothing():
    np.testing.assert_array_equal(color_jitter(KEY, jnp.asarray(IMAGES), 0, 0, 0, 0), IMAGES)
    gray = jnp.asarray(IMAGES[..., :1])
    np.testing.assert_array_equal(color_jitter(KEY, gray, 0, 0, 1, 0.5), gray)


def test_all_orders_occur():
    """A red image: saturation first makes it less red, contrast moves it to another gray."""
    images = jnp.full((3000, 1, 2, 3), jnp.asarray([200, 10, 60], jnp.uint8))
    images = images.at[:, :, 1].set(jnp.asarray([10, 250, 90], jnp.uint8))
    plain = color_jitter(KEY, images.astype(jnp.float32), 0.5, 0.5, 0.5, 0.0)
    assert len(np.unique(np.asarray(plain), axis=0)) > 2900


def test_gray_is_pillow_s():
    found = np.asarray(random_gray(KEY, jnp.asarray(IMAGES), 1.0), int)
    for image, each in zip(IMAGES, found, strict=True):
        luminance = np.asarray(Image.fromarray(image).convert("L"), int)
        assert np.abs(each - luminance[..., None]).max() <= 1  # 16-bit weights there
    many = np.repeat(IMAGES[:1], 1000, axis=0)
    gray = (np.ptp(np.asarray(random_gray(KEY, many, 0.3)), axis=-1) == 0).all((1, 2))
    assert abs(gray.mean() - 0.3) < 4 * np.sqrt(0.21 / 1000)


def test_blur_is_scipy_s():
    sigma = np.float32([0.1, 0.5, 1.0, 2.0, 5.0])
    found = np.asarray(gaussian_blur(jnp.asarray(IMAGES, jnp.float32), sigma, 4))
    for image, width, each in zip(IMAGES, sigma, found, strict=True):
        expected = image.astype(np.float64)
        for axis in (0, 1):
            expected = ndimage.gaussian_filter1d(
                expected, width, axis=axis, mode="mirror", radius=4
            )
        np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-3)
    blurred, _ = GaussianBlur((1, 1), 2, 1.0)(KEY, jnp.asarray(IMAGES), None)
    assert blurred.dtype == jnp.uint8


@pytest.mark.parametrize(
    "call",
    [
        lambda x: random_gray(KEY, x[..., :2], 0.5),
        lambda x: color_jitter(KEY, x[0], 0, 0, 0, 0),
        lambda x: color_jitter(KEY, x, 0, 0, 0, 0.6),
        lambda x: gaussian_blur(x, jnp.ones(5), 7),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(BadArgument, match=r"(images|hue|radius): received|images: expected"):
        call(jnp.asarray(IMAGES))
