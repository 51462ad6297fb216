"""Lists of images: columns, JSON lines, labels, and what is wrong with a line."""

import json
import warnings

import numpy as np
import pytest

from cnnjax.data import from_list, load, load_splits
from cnnjax.data.listing import natural
from cnnjax.errors import BadArgument

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(autouse=True)
def images(monkeypatch, tmp_path):
    """Six images in a directory, 0.png to 5.png."""
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "kept"))
    draw = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(6):
        pixels = draw.integers(0, 256, (7, 5, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def table(path, rows, separator=","):
    path.write_text("\n".join(separator.join(map(str, row)) for row in rows) + "\n")
    return path


def test_csv(images):
    rows = [("path", "label"), *((f"images/{n}.png", "ab"[n % 2]) for n in (5, 2, 3, 0))]
    found = from_list(table(images / "x.csv", rows))
    assert (found.class_names, found.name) == (("a", "b"), "list:x.csv")
    assert found.files == ("images/2.png", "images/0.png", "images/5.png", "images/3.png")
    assert found.labels.tolist() == [0, 0, 1, 1]
    for file, pixels in zip(found.files, found.images, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(images / file)))


def test_other_columns_tabs_quotes_and_byte_order_mark(images):
    lines = ["species\timage file"]
    lines += [f"{kind}\timages/{n}.png" for n, kind in enumerate(("red fox", '"a, b"') * 2)]
    content = "\n".join(lines)
    (images / "x.tsv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    found = from_list(images / "x.tsv", path="image file", label="species")
    assert found.class_names == ("a, b", "red fox")
    same = load(f"list:{images / 'x.tsv'}?path=image file&label=species")
    assert same.fingerprint() == found.fingerprint()


def test_json_lines_and_integers_as_labels(images):
    rows = [
        {"path": str(images / "images" / f"{n}.png"), "label": 10 - 4 * (n % 3)} for n in range(6)
    ]
    (images / "x.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = from_list(images / "x.jsonl")
    assert found.class_names == ("2", "6", "10")
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_splits_of_a_list(images):
    rows = [("path", "label", "split")]
    rows += [(f"images/{n}.png", "ab"[n % 2], "Train" if n < 4 else "val") for n in range(6)]
    path = table(images / "x.csv", rows)
    parts = load_splits(f"list:{path}")
    assert (len(parts.train), len(parts.test)) == (4, 2)
    assert parts.note.endswith("has no split 'test': 'validation' is tested on")
    assert len(from_list(path, "validation")) == 2


def test_what_is_missing_or_listed_twice_is_said(images):
    rows = [("path", "label"), ("images/0.png", "a"), ("images/0.png", "b"), ("images/9.png", "a")]
    rows += [("images/1.png", "a"), ("images/1.png", "a"), ("images/2.png", "b")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = from_list(table(images / "x.csv", rows))
    notes = "\n".join(found.notes)
    assert "1 of 4 files are left out: images/9.png (there is no file of that name)" in notes
    assert "1 image is in two classes: images/0.png = images/0.png" in notes
    assert "1 image is there twice: images/1.png = images/1.png" in notes
    assert len(found) == 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("path,label\n", "has no rows"),
        ("file,label\na.png,x\n", "line 2: column: unknown name 'path'.*allowed: file, label"),
        ("path,species\na.png,x\n", "line 2: column: unknown name 'label'"),
        ("path,label\na.png,x\n,y\n", "line 3: path is ''; allowed: a path"),
        ("path,label\na.png\n", "line 2: label is ''; allowed: a text or an integer"),
        ("path,label,split\na.png,x,exam\n", "line 2: split is 'exam'; allowed: train, val"),
        ('{"path": "a.png", "label": 1.5}', r"line 1: label is 1\.5"),
        ('{"path": "a.png", "label": true}', "line 1: label is True"),
        ('{"path": 3, "label": 1}', "line 1: path is 3"),
        ('{"path": "a.png"', "line 1: no JSON"),
        ("[1, 2]", "line 1: allowed: an object"),
    ],
)
def test_lists_that_are_none(images, content, words):
    (images / "x").write_text(content)
    with pytest.raises(BadArgument, match=f"list: .*{words}"):
        from_list(images / "x")


def test_no_list(images):
    with pytest.raises(BadArgument, match="list: there is no file"):
        load(f"list:{images / 'gone.csv'}")
    with pytest.raises(BadArgument, match=r"list: .* is a directory"):
        load(f"list:{images}")


def test_natural_order_is_total():
    names = ["a10", "a9", "A9", "10", "9", "a", "", "a9b", "a09", "ä"]
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)
    assert sorted(["img12", "img2", "IMG1"], key=natural) == ["IMG1", "img2", "img12"]
