import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnnjax.data.augment import RandAugment, TrivialAugment, rand_augment, trivial_augment
from cnnjax.data.augment.operations import OPERATIONS, operate
from cnnjax.errors import BadArgument

RNG = np.random.default_rng(2)
IMAGES = RNG.integers(40, 220, (6, 32, 28, 3)).astype(np.uint8)
IMAGES[1] //= 8
IMAGES[2] = 77
KEY = jax.random.key(0)


def transformed(*matrix):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)


def enhanced(kind, magnitude):
    return lambda image: kind(image).enhance(1 + magnitude)


PILLOW = {
    "identity": (0.0, lambda image: image),
    "shear_x": (0.26, transformed(1, 0.26, 0, 0, 1, 0)),
    "shear_y": (-0.26, transformed(1, 0, 0, -0.26, 1, 0)),
    "translate_x": (5.0, transformed(1, 0, 5, 0, 1, 0)),
    "translate_y": (-3.0, transformed(1, 0, 0, 0, 1, -3)),
    "rotate": (23.0, lambda image: image.rotate(23)),
    "brightness": (0.63, enhanced(ImageEnhance.Brightness, 0.63)),
    "color": (-0.63, enhanced(ImageEnhance.Color, -0.63)),
    "contrast": (0.87, enhanced(ImageEnhance.Contrast, 0.87)),
    "sharpness": (0.7, enhanced(ImageEnhance.Sharpness, 0.7)),
    "posterize": (3.0, lambda image: ImageOps.posterize(image, 3)),
    "solarize": (100.0, lambda image: ImageOps.solarize(image, 100)),
    "autocontrast": (0.0, ImageOps.autocontrast),
    "equalize": (0.0, ImageOps.equalize),
    "invert": (0.0, ImageOps.invert),
}
GEOMETRIC = ("shear_x", "shear_y", "rotate")


def test_the_table_has_all_operations():
    assert tuple(PILLOW) == OPERATIONS


@pytest.mark.parametrize("name", PILLOW)
def test_an_operation_is_pillow_s(name):
    magnitude, pillow = PILLOW[name]
    numbers = jnp.full(len(IMAGES), OPERATIONS.index(name))
    found = operate(jnp.asarray(IMAGES), numbers, jnp.full(len(IMAGES), magnitude))
    expected = np.stack([np.asarray(pillow(Image.fromarray(image))) for image in IMAGES])
    apart = np.abs(np.asarray(found, int) - expected)
    if name in GEOMETRIC:  # Pillow's coordinates have 16 bits behind the point
        assert (apart > 0).mean() < 0.003
    else:
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.01


def test_each_image_has_an_operation_of_its_own():
    images = jnp.asarray(np.repeat(IMAGES[:1], len(OPERATIONS), axis=0))
    magnitudes = jnp.asarray([magnitude for magnitude, _ in PILLOW.values()])
    together = np.asarray(operate(images, jnp.arange(len(OPERATIONS)), magnitudes))
    for number, magnitude in enumerate(magnitudes):
        alone = operate(images[:1], jnp.asarray([number]), magnitude[None])
        np.testing.assert_array_equal(together[number], alone[0])


@pytest.mark.parametrize("value", [RandAugment(), TrivialAugment()])
@pytest.mark.parametrize("channels", [1, 3])
def test_policies_keep_the_form_and_draw_by_key_and_image(value, channels):
    images = jnp.asarray(np.repeat(IMAGES[:1, ..., :channels], 64, axis=0))
    targets, run = jnp.eye(64), jax.jit(value)
    found, same = run(KEY, images, targets)
    assert (found.shape, found.dtype) == (images.shape, jnp.uint8)
    np.testing.assert_array_equal(same, targets)
    assert len(np.unique(np.asarray(found), axis=0)) > 15
    np.testing.assert_array_equal(found, run(KEY, images, targets)[0])
    assert (np.asarray(found) != run(jax.random.key(1), images, targets)[0]).any()
    wide, _ = run(KEY, images.astype(jnp.float32), targets)
    np.testing.assert_array_equal(wide, found.astype(jnp.float32))


def test_magnitude_0_changes_nothing_but_what_has_none():
    """Solarize at 255 leaves all but white as it is; autocontrast and equalize have none."""
    images = jnp.asarray(np.repeat(IMAGES[:1], 3000, axis=0))
    found = np.asarray(rand_augment(KEY, images, 1, 0))
    same = (found == IMAGES[0]).all((1, 2, 3)).mean()
    assert abs(same - 12 / 14) < 4 * np.sqrt(12 / 14 * 2 / 14 / 3000)


@pytest.mark.parametrize(
    "call",
    [
        lambda: rand_augment(KEY, jnp.asarray(IMAGES), 0),
        lambda: rand_augment(KEY, jnp.asarray(IMAGES), 2, 31),
        lambda: trivial_augment(KEY, jnp.asarray(IMAGES[..., :2])),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(BadArgument, match=r"(operations|magnitude|images): received .*allowed"):
        call()
