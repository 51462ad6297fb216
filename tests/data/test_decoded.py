"""What is kept of decoded images: read again while nothing changed, and never anything else."""

import errno
import json
import os

import numpy as np
import pytest

from cnnjax.data import decoded as module
from cnnjax.data import from_folder
from cnnjax.errors import Failed
from cnnjax.runtime import memory

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Return a folder of two classes with three images each, and a place for what is kept."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))
    draw = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "x" / label).mkdir(parents=True)
        for number in range(3):
            pixels = draw.integers(0, 256, (6, 4, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "x" / label / f"{number}.png")
    return tmp_path / "x"


@pytest.fixture
def decodings(monkeypatch):
    """Count the files that are decoded."""
    real, seen = module._decode, []
    monkeypatch.setattr(
        module, "_decode", lambda path, *more: seen.append(path.name) or real(path, *more)
    )
    return seen


def kept(folder):
    """The directories that hold pixels."""
    return sorted(path.parent for path in (folder.parent / "kept" / "images").rglob("about.json"))


def test_decoded_once(folder, decodings):
    first = from_folder(folder)
    assert len(decodings) == 6
    second = from_folder(folder)
    assert len(decodings) == 6
    np.testing.assert_array_equal(first.images, second.images)
    assert first.fingerprint() == second.fingerprint()
    assert not second.decoded.pixels.flags.writeable
    from_folder(folder, resize=5)
    assert len(decodings) == 12
    assert len(kept(folder)) == 2
    from_folder(folder)
    assert len(decodings) == 12


def test_a_changed_file_is_decoded_again_and_the_old_pixels_are_gone(folder, decodings):
    before = from_folder(folder)
    pixels = 255 - before.images[0]
    Image.fromarray(pixels).save(folder / "a" / "0.png")
    after = from_folder(folder)
    assert len(decodings) == 12
    np.testing.assert_array_equal(after.images[0], pixels)
    np.testing.assert_array_equal(before.images[0], 255 - pixels)  # of who still has it open
    assert before.fingerprint() != after.fingerprint()
    assert len(kept(folder)) == 1
    os.utime(folder / "a" / "0.png", (1, 1))
    assert from_folder(folder).fingerprint() == after.fingerprint()
    assert len(decodings) == 18


def test_a_file_that_changes_while_it_is_read_is_named(folder, monkeypatch):
    real = module._decode

    def decode(path, *more):
        if path.name == "1.png":
            os.utime(path, (5, 5))
        return real(path, *more)

    monkeypatch.setattr(module, "_decode", decode)
    with pytest.raises(Failed, match=r"x/[ab]/1\.png changed while it was read"):
        from_folder(folder)
    assert kept(folder) == []
    assert not list((folder.parent / "kept").rglob(".new-*"))


@pytest.mark.parametrize("damage", ["pixel", "short", "sizes", "json", "gone"])
def test_damaged_pixels_are_decoded_again(folder, decodings, damage):
    first = from_folder(folder)
    (place,) = kept(folder)
    pixels, about = place / "pixels.uint8", place / "about.json"
    images = first.images.copy()
    if damage == "pixel":
        content = bytearray(pixels.read_bytes())
        content[17] ^= 1
        pixels.write_bytes(content)
    elif damage == "short":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "gone":
        pixels.unlink()
    else:
        text = json.loads(about.read_text())
        text["about"]["sizes"][0] = [1, 1]
        about.write_text("{" if damage == "json" else json.dumps(text))
    again = from_folder(folder)
    assert len(decodings) == 12
    np.testing.assert_array_equal(again.images, images)
    from_folder(folder)
    assert len(decodings) == 12


def test_off_keeps_nothing(folder, monkeypatch, decodings):
    expected = from_folder(folder).images
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    np.testing.assert_array_equal(from_folder(folder).images, expected)
    assert len(decodings) == 12
    monkeypatch.setattr(memory, "available_bytes", lambda: 6 * 6 * 4 * 3 - 1)
    with pytest.raises(Failed, match=r"folder:x, 6 images takes .* is left; resize them to fewer"):
        from_folder(folder)


@pytest.mark.filterwarnings("ignore:folder.x. decoded images are not kept")
def test_a_full_disk_is_said_and_memory_takes_its_place(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_mapped", full)
    found = from_folder(folder)
    assert found.notes == ("decoded images are not kept (No space left on device)",)
    assert found.images.any(axis=(1, 2, 3)).all()
    assert kept(folder) == []
    monkeypatch.undo()


def test_what_cannot_be_read_today_is_tried_again(folder, monkeypatch, decodings):
    real = module._decode

    def decode(path, *more):
        if path.name == "2.png":
            try:
                raise OSError(errno.EIO, "Input/output error")
            except OSError as error:
                raise Failed(f"{path}: Input/output error") from error
        return real(path, *more)

    monkeypatch.setattr(module, "_decode", decode)
    with pytest.warns(UserWarning, match="2 of 6 files are left"):
        some = from_folder(folder)
    monkeypatch.setattr(module, "_decode", real)
    assert (len(some), len(from_folder(folder))) == (4, 6)


def test_many_threads_and_one_give_the_same(folder, monkeypatch):
    first = from_folder(folder).fingerprint()
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    for number in (1, 7):
        monkeypatch.setattr("cnnjax.data.photographs.cores", lambda number=number: number)
        assert from_folder(folder).fingerprint() == first
