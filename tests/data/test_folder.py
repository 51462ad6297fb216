"""Folders of images: what is found, how it is read, and what is said of awkward files."""

import io
import os
import shutil
import struct
import warnings

import numpy as np
import pytest

from cnnjax.data import from_folder, load, load_splits, resize_images, split_off
from cnnjax.data.folder import read_folder
from cnnjax.errors import BadArgument, Failed

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Keep decoded images in a directory of the test."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept" / "images"


def picture(seed, size=(12, 16), channels=3):
    """A smooth image, another one for every seed, that JPEG hardly changes."""
    rows, columns, planes = np.ogrid[: size[0], : size[1], :channels]
    waves = np.sin(rows / (4 + seed % 5) + seed) * np.cos(columns / (5 + seed % 7) + planes)
    return (127 + 100 * waves).astype(np.uint8)


def save(path, array, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.squeeze()).save(path, **settings)


@pytest.fixture
def pets(tmp_path):
    """Return a folder of two classes with four images each."""
    for label in ("cat", "dog"):
        for number in range(4):
            save(tmp_path / "pets" / label / f"{number}.png", picture(number + 9 * len(label)))
    for number in range(4):
        save(tmp_path / "pets" / "dog" / f"{number}.png", picture(number + 40))
    return tmp_path / "pets"


def read(path, **arguments):
    """Read a folder with its warnings out of the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_folder(path, **arguments)


def test_a_class_is_a_directory(pets):
    found = from_folder(pets)
    assert found.class_names == ("cat", "dog")
    assert found.files == tuple(f"{label}/{n}.png" for label in ("cat", "dog") for n in range(4))
    assert found.labels.tolist() == [0] * 4 + [1] * 4
    assert (found.image_shape, found.name, found.split) == ((12, 16, 3), "folder:pets", "train")
    assert (found.left_out, found.notes) == ({}, ())
    for file, image in zip(found.files, found.images, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(pets / file)))
    np.testing.assert_array_equal(found.take([5, 0]), found.images[[5, 0]])
    assert found.sizes.tolist() == [[12, 16]] * 8


def test_names_in_natural_order_spaces_any_script_and_nested(tmp_path):
    root = tmp_path / "x"
    for label in ("img10", "img9", "Große Hunde", "犬", "birds/owls", "birds/ducks"):
        for number in (10, 2):
            save(root / label / f"a {number}.PNG", picture(number + sum(map(ord, label))))
    found = from_folder(root)
    assert found.class_names == (
        "birds/ducks", "birds/owls", "Große Hunde", "img9", "img10", "犬",
    )  # fmt: skip
    assert found.files[:2] == ("birds/ducks/a 2.PNG", "birds/ducks/a 10.PNG")


def test_one_spelling_of_unicode_is_one_class(tmp_path):
    for split, label in (("train", "caf\xe9"), ("test", "cafe\u0301"), ("train", "tea")):
        save(tmp_path / "x" / split / label / "a.png", picture(len(split + label)))
    found = read(tmp_path / "x", split="test")
    assert (found.class_names, found.labels.tolist()) == (("caf\xe9", "tea"), [0])


def test_hidden_files_and_directories_are_no_classes(pets):
    for hidden in (".git", ".ipynb_checkpoints", "__MACOSX"):
        save(pets / hidden / "a.png", picture(3))
    (pets / "cat" / ".DS_Store").write_bytes(b"x")
    (pets / "cat" / "Thumbs.db").write_bytes(b"x")
    (pets / "README.md").write_text("about")
    found = from_folder(pets)
    assert (found.class_names, len(found), found.left_out) == (("cat", "dog"), 8, {})


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_splits_of_a_folder(tmp_path, val):
    root = tmp_path / "x"
    for seed, split in enumerate(("Train", val, "test")):
        for label in ("ant", "bee"):
            for number in range(2):
                image = picture(100 * seed + 10 * ord(label[0]) + number)
                save(root / split / label / f"{number}.png", image)
    sizes = {split: len(from_folder(root, split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 4, "validation": 4, "test": 4}
    assert from_folder(root, "test").files[0] == "test/ant/0.png"
    with pytest.raises(BadArgument, match=r"split: unknown name 'exam'.*allowed: test, train, val"):
        from_folder(root, "exam")
    parts = load_splits(f"folder:{root}")
    assert (len(parts.train), len(parts.test), parts.note) == (4, 4, "")
    assert parts.source == "folder:x"
    shutil.rmtree(root / "test")
    parts = load_splits(f"folder:{root}")
    assert parts.note.endswith("has no split 'test': 'validation' is tested on")


def test_directories_that_are_not_all_splits_are_classes(tmp_path):
    for label in ("train", "bus"):
        save(tmp_path / "x" / label / "a.png", picture(len(label)))
    assert read(tmp_path / "x").class_names == ("bus", "train")


def test_without_splits_a_stratified_fifth_is_cut_off(pets):
    for number in range(4, 10):
        save(pets / "cat" / f"{number}.png", picture(number + 60))
        save(pets / "dog" / f"{number}.png", picture(number + 80))
    parts = load_splits(f"folder:{pets}")
    assert (len(parts.train), len(parts.test)) == (16, 4)
    assert np.bincount(parts.test.labels).tolist() == [2, 2]
    assert not {*parts.train.files} & {*parts.test.files}
    assert "a fifth of that is cut off" in parts.note
    train, held_out = split_off(load(f"folder:{pets}"), 0.2, 0)
    assert (train.files, held_out.files) == (parts.train.files, parts.test.files)
    other = split_off(load(f"folder:{pets}"), 0.2, 1)[1]
    assert other.files != held_out.files
    assert other.split == "validation"


def jpeg(array, **settings):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", **settings)
    return stream.getvalue()


def png_header(width, height):
    """The beginning of a PNG that says it is of this size."""
    import zlib

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    about = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(64)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + pixels + chunk(b"IEND", b"")


AWKWARD = {
    # name of the file: (its content, a part of the reason why it is left out)
    "empty.jpg": (b"", "empty"),
    "notes.txt": (b"the cat sat on the mat", "not an image in a known format"),
    "text.png": (b"not a PNG at all", "not an image in a known format"),
    "page.jpg": (b"<!DOCTYPE html><html>gone</html>", "a web page"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "cut.jpg": (jpeg(picture(3, (64, 64)))[:-300], "truncated"),
    "cut.png": (png_header(12, 16)[:-30], ""),
    "bomb.png": (png_header(20_000, 20_000), r"400000000 pixels. exceeds limit"),
    "huge.png": (png_header(10_000, 10_000), "100000000 pixels, which no photograph has"),
    "film.mp4": (b"\0\0\0\x18ftypmp42" + bytes(40), "not an image in a known format"),
    "vector.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    "paper.pdf": (b"%PDF-1.7\n%%EOF", "not an image in a known format"),
}


@pytest.mark.parametrize("file", AWKWARD)
def test_what_is_no_image_is_named_and_left_out(pets, file):
    content, reason = AWKWARD[file]
    (pets / "cat" / file).write_bytes(content)
    with pytest.warns(UserWarning, match=rf"1 of 9 files are left out: cat/{file} \(.*{reason}"):
        found = from_folder(pets, resize=12)
    assert len(found) == 8
    assert list(found.left_out) == [f"cat/{file}"]
    assert load_splits(f"folder:{pets}", resize=12).note.startswith("1 of 9 files are left out")
    with pytest.raises(Failed, match=rf"left out: cat/{file} .*; strict allows none"):
        from_folder(pets, resize=12, strict=True)
    with pytest.raises(Failed, match="strict allows none"):
        load_splits(f"folder:{pets}?strict", resize=12)


def test_links_and_pipes(pets):
    (pets / "cat" / "nowhere.png").symlink_to("gone.png")
    os.mkfifo(pets / "cat" / "pipe.png")
    (pets / "dog" / "self").symlink_to(pets / "dog")
    (pets / "dog" / "up").symlink_to(pets)
    found = read(pets)
    assert len(found) == 8
    assert set(found.left_out) == {"cat/nowhere.png", "cat/pipe.png"}
    elsewhere = pets.parent / "elsewhere"
    save(elsewhere / "a.png", picture(77))
    (pets / "bird").symlink_to(elsewhere)
    assert read(pets).class_names == ("bird", "cat", "dog")


GREY = picture(5, channels=1)[..., 0]
COLOR = picture(5)


def _save_exif(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the row above is the right-hand column
    turned = np.rot90(COLOR)
    Image.fromarray(np.ascontiguousarray(turned)).save(path, quality=95, exif=exif)


def _save_palette(path):
    image = Image.fromarray(GREY).quantize(255)
    image.save(path)


def _save_cmyk_plain(path):
    """A JPEG of four inks as they are: Pillow's with Adobe's marker away, and the inks turned."""
    inks = Image.fromarray(255 - np.asarray(Image.fromarray(COLOR).convert("CMYK")), "CMYK")
    stream = io.BytesIO()
    inks.save(stream, "JPEG", quality=95)
    content = stream.getvalue()
    at = content.index(b"\xff\xee")
    length = int.from_bytes(content[at + 2 : at + 4], "big") + 2
    path.write_bytes(content[:at] + content[at + length :])


KINDS = {
    # name of the file: (how it is written, its pixels, levels that they may differ by)
    "a.jpg": (lambda path: Image.fromarray(COLOR).save(path, quality=95), COLOR, 12),
    "a.JPEG": (lambda path: Image.fromarray(COLOR).save(path, quality=95), COLOR, 12),
    "a.png": (lambda path: Image.fromarray(COLOR).save(path), COLOR, 0),
    "a.webp": (lambda path: Image.fromarray(COLOR).save(path, lossless=True), COLOR, 0),
    "a.bmp": (lambda path: Image.fromarray(COLOR).save(path), COLOR, 0),
    "a.TIFF": (lambda path: Image.fromarray(COLOR).save(path), COLOR, 0),
    "film.gif": (
        lambda path: Image.fromarray(GREY).save(
            path, save_all=True, append_images=[Image.fromarray(255 - GREY)]
        ),
        np.stack([GREY] * 3, -1),
        0,
    ),
    "grey.png": (lambda path: Image.fromarray(GREY).save(path), np.stack([GREY] * 3, -1), 0),
    "deep.png": (
        lambda path: Image.fromarray(GREY.astype(np.uint16) * 256 + 77).save(path),
        np.stack([GREY] * 3, -1),
        0,
    ),
    "alpha.png": (
        lambda path: Image.fromarray(np.dstack([COLOR, np.full(GREY.shape, 255, np.uint8)])).save(
            path
        ),
        COLOR,
        0,
    ),
    "palette.png": (_save_palette, np.stack([GREY] * 3, -1), 2),
    "inks.jpg": (
        lambda path: Image.fromarray(COLOR).convert("CMYK").save(path, quality=95),
        COLOR,
        12,
    ),
    "plain inks.jpg": (_save_cmyk_plain, COLOR, 12),
    "turned.jpg": (_save_exif, COLOR, 12),
    "no suffix": (lambda path: Image.fromarray(COLOR).save(path, "PNG"), COLOR, 0),
    "wrong suffix.jpg": (lambda path: Image.fromarray(COLOR).save(path, "PNG"), COLOR, 0),
}


@pytest.mark.parametrize("file", KINDS)
def test_every_kind_of_image(pets, file):
    write, expected, apart = KINDS[file]
    write(pets / "cat" / file)
    found = read(pets)
    assert found.left_out == {}
    image = found.images[found.files.index(f"cat/{file}")]
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= apart


def test_grey_images_have_one_channel_unless_told(tmp_path):
    for label in "ab":
        save(tmp_path / "x" / label / "1.png", picture(ord(label), channels=1))
    assert read(tmp_path / "x").image_shape == (12, 16, 1)
    assert read(tmp_path / "x", channels=3).image_shape == (12, 16, 3)
    assert load_splits_shape(tmp_path / "x", "?channels=3") == (12, 16, 3)
    save(tmp_path / "x" / "b" / "2.png", picture(3))
    assert read(tmp_path / "x").image_shape == (12, 16, 3)
    assert read(tmp_path / "x", channels=1).image_shape == (12, 16, 1)


def load_splits_shape(path, options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(f"folder:{path}{options}").image_shape


@pytest.mark.parametrize("mode", ["center", "squash", "pad"])
def test_images_of_many_sizes_become_one(pets, mode):
    save(pets / "cat" / "tall.png", picture(90, (31, 14)))
    save(pets / "dog" / "wide.png", picture(91, (9, 40)))
    with pytest.raises(BadArgument, match=r"have 3 sizes, from 12x16 to 31x14; .*--resize"):
        from_folder(pets)
    found = from_folder(pets, resize=f"10:{mode}")
    assert found.image_shape == (10, 10, 3)
    for file, image in zip(found.files, found.images, strict=True):
        pixels = np.asarray(Image.open(pets / file))
        ours = resize_images(pixels[None], 10, "bicubic", mode)[0]
        assert np.abs(image.astype(int) - ours).max() <= 1
    assert found.sizes[found.files.index("cat/tall.png")].tolist() == [31, 14]


def test_the_same_image_twice_is_said(pets):
    shutil.copy(pets / "cat" / "1.png", pets / "dog" / "twin.png")
    Image.open(pets / "cat" / "2.png").save(pets / "cat" / "other coat.bmp")
    notes = "\n".join(read(pets).notes)
    assert "1 image is in two classes: cat/1.png = dog/twin.png" in notes
    assert "1 image is there twice: cat/2.png = cat/other coat.bmp" in notes


def test_the_same_image_in_train_and_test_is_said(tmp_path):
    for split, seeds in (("train", (1, 2, 3)), ("test", (4, 2))):
        for label in "ab":
            for seed in seeds:
                save(tmp_path / "x" / split / label / f"{seed}.png", picture(seed + ord(label)))
    save(tmp_path / "x" / "train" / "b" / "1.png", picture(500))
    note = load_splits(f"folder:{tmp_path / 'x'}").note
    assert "in two splits" in note
    assert "train/a/2.png = test/a/2.png" in note


def test_a_cut_with_the_same_image_on_both_sides_is_said(pets):
    for number in range(4):
        shutil.copy(pets / "cat" / f"{number}.png", pets / "cat" / f"copy {number}.png")
    parts = load_splits(f"folder:{pets}")
    assert "of 2 test images are trained on as well: cat/" in parts.note


def test_classes_with_few_images_are_said(pets):
    (pets / "bird").mkdir()
    save(pets / "fish" / "1.png", picture(70))
    (pets / "mouse").mkdir()
    (pets / "mouse" / "1.png").write_bytes(b"")
    found = read(pets)
    assert found.class_names == ("cat", "dog", "fish")
    notes = "\n".join(found.notes)
    assert "2 classes have no image: bird, mouse" in notes
    assert "1 of 3 classes have a single image: fish" in notes


def test_a_class_that_only_the_test_split_has_is_refused(tmp_path):
    for split, label in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "c")):
        save(tmp_path / "x" / split / label / "1.png", picture(len(split) + ord(label)))
    with pytest.raises(BadArgument, match="1 classes have images in 'test' and none in 'train': c"):
        from_folder(tmp_path / "x")


def test_one_class_and_more_classes_than_images(tmp_path):
    for number in range(5):
        save(tmp_path / "one" / "a" / f"{number}.png", picture(number))
    assert from_folder(tmp_path / "one").class_names == ("a",)
    with pytest.raises(BadArgument, match="folder:one has one class, 'a'; allowed: two or more"):
        load_splits(f"folder:{tmp_path / 'one'}")
    for label in "bcd":
        save(tmp_path / "one" / label / "1.png", picture(ord(label)))
    with pytest.raises(BadArgument, match="has 4 classes and 3 images to learn from"):
        load_splits(f"folder:{tmp_path / 'one'}[:3]")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ((), "has no class with a file in it; allowed: CLASS/IMAGE"),
        (("1.png", "2.jpg"), "has no class with a file in it; 2 images lie in no class's"),
        (("train/1.png", "test/2.png"), "has no class with a file in it; 2 images"),
        (("train/a/1.png", "val/a/1.png", "valid/a/1.png"), "has val and valid; allowed: one"),
    ],
)
def test_folders_that_are_none(tmp_path, made, words):
    (tmp_path / "x").mkdir()
    for file in made:
        save(tmp_path / "x" / file, picture(1))
    with pytest.raises(BadArgument, match=words):
        from_folder(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder:", "folder: is followed by no path"),
        ("folder:/nowhere at all", "folder: /nowhere at all does not exist"),
        ("folder:a\0b", "is no path"),
        ("folder:{pets}/cat/1.png", "is a file; allowed: a directory"),
        ("folder:{pets}?columns=3", "folder: option: unknown name 'columns'"),
        ("folder:{pets}?channels=2", "channels: received '2', allowed: 1, 3"),
        ("folder:{pets}[5]", "ends in no slice; allowed are such as"),
        ("folder:{pets}[9:]", "is empty"),
    ],
)
def test_bad_names(pets, name, words):
    with pytest.raises(BadArgument, match=words):
        load(name.format(pets=pets))


def test_a_directory_that_may_not_be_read(pets, monkeypatch):
    def scandir(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir  # the superuser may read what nobody else can
    monkeypatch.setattr("cnnjax.data.folder.os.scandir", scandir)
    with pytest.raises(Failed, match=r"folder: cannot read .*dog: Permission denied"):
        read_folder(pets)


def test_no_file_is_an_image(tmp_path):
    for label in "ab":
        (tmp_path / "x" / label).mkdir(parents=True)
        (tmp_path / "x" / label / "1.jpg").write_bytes(b"no")
    with pytest.raises(Failed, match=r"none of 2 files can be read as an image; .*1.jpg: not an"):
        from_folder(tmp_path / "x")


def test_slices_of_a_folder(pets):
    name = f"folder:{pets}"
    assert load(f"{name}[:3]").files == ("cat/0.png", "cat/1.png", "cat/2.png")
    assert load(name, "train[6:]").files == ("dog/2.png", "dog/3.png")
    some = load(f"{name}[:4,stratified]")
    assert (np.bincount(some.labels).tolist(), some.split) == ([2, 2], "train[:4,stratified]")
    parts = load_splits(name, train_split="train[:4,stratified]", test_split="train[4:,stratified]")
    assert not {*parts.train.files} & {*parts.test.files}
    assert len(parts.train) + len(parts.test) == 8
    with pytest.raises(BadArgument, match="has 2 images in common"):
        load_splits(name, train_split="train[:4]", test_split="train[2:]")
    with pytest.raises(BadArgument, match="that is sliced too"):
        load(f"{name}[:3]", "train[:2]")


def test_a_path_with_brackets_and_questions(tmp_path):
    root = tmp_path / "what?strict [1:2]"
    for label in "ab":
        save(root / label / "1.png", picture(ord(label)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(load(f"folder:{root}")) == 2
        assert len(load(f"folder:{root}?strict[:1]")) == 1


def test_bytes_that_are_no_text_in_a_name(tmp_path):
    root = tmp_path / "x"
    for label in (b"caf\xe9", b"tea"):
        path = os.path.join(os.fsencode(root), label)
        os.makedirs(path)
        save(root / "plain" / "1.png", picture(1))
        shutil.copy(root / "plain" / "1.png", os.path.join(path, b"\xff.png"))
    found = read(root)
    assert found.class_names == (r"caf\xe9", "plain", "tea")
    assert len(found) == 3
    "".join(found.class_names).encode()
