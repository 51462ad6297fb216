"""A sheet of examples: every image in the row of its class, pixel by pixel."""

import numpy as np
import pytest

from cnnjax.errors import BadArgument

pytest.importorskip("matplotlib")
from cnnjax.plot import contact_sheet

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), np.uint8)


def test_a_row_for_each_class():
    figure = contact_sheet([IMAGES[:2], IMAGES[2:2], IMAGES[2:7]], ["ants", "$bees$", "\u72ac"])
    assert [text.get_text() for text in figure.texts] == ["ants", r"\$bees\$", r"\u72ac"]
    strips = [axes.images[0].get_array() for axes in figure.axes]
    assert [len(strip) for strip in strips] == [5, 5]
    for strip, images in zip(strips, (IMAGES[:2], IMAGES[2:7]), strict=True):
        pitch = (strip.shape[1] - 6) // (len(images) - 1)
        for place, image in enumerate(images):
            np.testing.assert_array_equal(strip[:, place * pitch :][:, :6], image)
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops[0] > tops[1]


def test_grey_images():
    figure = contact_sheet([IMAGES[:3, ..., :1]], ["one"])
    strip = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(strip[:, :6], np.repeat(IMAGES[0, ..., :1], 3, axis=-1))


@pytest.mark.parametrize(
    ("images", "names", "words"),
    [
        ([], [], "names: 0 for 0 classes"),
        ([IMAGES], ["a", "b"], "names: 2 for 1 classes; allowed: one for each"),
        ([IMAGES[:0]], ["a"], "images: none in any class"),
        ([IMAGES[..., :2]], ["a"], r"images: shape .*; allowed"),
    ],
)
def test_bad_arguments(images, names, words):
    with pytest.raises(BadArgument, match=words):
        contact_sheet(images, names)
