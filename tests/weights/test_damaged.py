"""Damaged and hostile files: refused in words or read exactly, in little memory, and at an end."""

import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from cnnjax.errors import BadArgument, Failed
from cnnjax.weights import read_state_dict
from cnnjax.weights.digest import CHECKSUM, content_digest
from tests.weights.torch_format import MAGIC, state_dict, tensor, write_legacy, write_zip

ARRAYS = {
    "conv.weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "fc.bias": np.array([0.5, -2, 3], np.float16),
}


def forms(folder):
    """The same arrays in every form of file: content, and how much of it says what they are."""
    value, storages = state_dict(ARRAYS)
    content = {
        "zip": write_zip(folder / "a", {"model": value, "epoch": 3}, storages).read_bytes(),
        "legacy": write_legacy(folder / "a", value, storages).read_bytes(),
        "safetensors": save(ARRAYS, {CHECKSUM: content_digest(ARRAYS), "a": "b"}),
        "plain": save(ARRAYS),
    }
    described = {name: len(data) for name, data in content.items()}
    described["legacy"] = content["legacy"].index(struct.pack("<q", 24))
    described["plain"] = 8 + int.from_bytes(content["plain"][:8], "little")
    return {name: (data, described[name]) for name, data in content.items()}


def outcome(path, content):
    """How a content is read: "refused" in a line of words, "exact", or "other"."""
    path.write_bytes(content)
    try:
        read = read_state_dict(path)
    except (BadArgument, Failed) as error:
        return "refused" if str(error).isprintable() and len(str(error)) < 2_000 else "unworded"
    same = read.keys() == ARRAYS.keys() and all(
        read[n].dtype == a.dtype and np.array_equal(read[n], a) for n, a in ARRAYS.items()
    )
    return "exact" if same else "other"


FORMS = ("zip", "legacy", "safetensors", "plain")


def changes(content, end, draw):
    """Contents with a bit, a byte or a word changed, or a byte more or less, at places all over."""
    for place in range(0, end, 3):
        place += int(draw.integers(0, min(3, end - place)))
        kind = draw.integers(0, 5)
        before, byte, after = content[:place], content[place], content[place + 1 :]
        if kind == 0:
            yield before + bytes([byte ^ (1 << int(draw.integers(8)))]) + after
        elif kind == 1:
            yield before + bytes([int(draw.integers(256))]) + after
        elif kind == 2:
            yield before + after
        elif kind == 3:
            yield before + bytes([byte]) * 2 + after
        else:
            huge = draw.choice([b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", bytes(4)])
            yield content[:place] + huge + content[place + 4 :]


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path, form):
    content, _ = forms(tmp_path)[form]
    for length in range(0, len(content), 7):
        assert outcome(tmp_path / "a", content[:length]) == "refused", length


@pytest.mark.parametrize("form", FORMS)
def test_changed_bytes_are_refused_or_do_not_matter(tmp_path, form):
    """Where a checksum covers them; the others have none, and may hold another name or shape."""
    content, end = forms(tmp_path)[form]
    draw = np.random.default_rng(FORMS.index(form))
    found = [outcome(tmp_path / "a", each) for each in changes(content, end, draw)]
    assert outcome(tmp_path / "a", content) == "exact"
    assert found.count("refused") > len(found) / 3
    assert "unworded" not in found
    if form in ("zip", "safetensors"):
        assert "other" not in found


def double(last):
    """A pickle whose value holds itself twice, 40 times over."""
    steps = b"".join(b"q%ch%c\x86" % (i, i) for i in range(40))
    return b"\x80\x02}K\x01" + steps + last


def named(count, pickled):
    return b"}(" + b"".join(b"X\x04\0\0\0%04x" % i + pickled for i in range(count)) + b"u."


DICTIONARIES = b"".join(
    b"}q%c(X\x01\0\0\0ah%cX\x01\0\0\0bh%cu" % (i, i - 1, i - 1) for i in range(1, 41)
)
INTEGER = b"\x8b" + struct.pack("<i", 2**21) + b"\x7f" * 2**21
STRING = b"X" + struct.pack("<I", 2**21) + b"k" * 2**21
PICKLES = {
    "a key that doubles": double(b"K\x01s."),
    "a value that doubles": double(b"q\x60K\x01h\x60s."),
    "dictionaries that double": b"\x80\x02}q\x00" + DICTIONARIES + b".",
    "a large memo index": b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".",
    "a long text": b"\x80\x04}\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "a text of 4 GB": b"\x80\x02}X" + struct.pack("<I", 2**32 - 1) + b"abc.",
    "a long frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
    "many dictionaries": b"\x80\x02(" + b"}" * 2**23 + b"l.",
    "many marks": b"\x80\x02" + b"(" * 2**23 + b".",
    "a slow key, often": b"\x80\x02}" + INTEGER + b"q\x01K\x01s" + b"h\x01K\x01s" * 10**5 + b".",
    "equal long keys": b"\x80\x02}"
    + STRING
    + b"q\x01K\x01s"
    + STRING
    + b"q\x02K\x01s"
    + b"h\x01K\x01sh\x02K\x01s" * 5 * 10**4
    + b".",
    "a deep value": b"\x80\x02}" + b"X\x01\0\0\0a}" * 10**5 + b"s" * 10**5 + b".",
    "itself": b"\x80\x02}q\x00X\x01\0\0\0ah\x00s.",
}


def hostile(folder):
    """Write small files that ask for very much memory or time, and return their names."""
    header = b"".join(pickle.dumps(each, 2) for each in (MAGIC, 1001, {"little_endian": True}))
    for name, content in PICKLES.items():
        with zipfile.ZipFile(folder / f"{name}.pth", "w") as archive:
            archive.writestr("archive/data.pkl", content)
        if len(content) < 2**20:
            old = header + content + pickle.dumps([], 2)
            (folder / f"{name}, old.pth").write_bytes(old)
    for member, content in (("data.pkl", b"N"), ("byteorder", b"\0")):
        members = {"byteorder": b"little", "data.pkl": b"\x80\x02}."} | {member: content * 2**28}
        with zipfile.ZipFile(folder / f"compressed {member}.pth", "w", compresslevel=1) as archive:
            for name, held in members.items():
                kind = zipfile.ZIP_DEFLATED if name == member else zipfile.ZIP_STORED
                archive.writestr(f"archive/{name}", held, kind)
    views = {f"x{i}": tensor("FloatStorage", "0", 2**19, 0, (2**19,), (1,)) for i in range(1_500)}
    write_zip(folder / "views.pth", views, {"0": np.zeros(2**19, np.float32)})
    write_legacy(folder / "views, old.pth", views, {"0": np.zeros(2**19, np.float32)})
    many = {f"m{i}": {"w": tensor("FloatStorage", "0", 1, 0, (1,), (1,))} for i in range(10_000)}
    write_zip(folder / "many mappings.pth", many, {"0": np.zeros(1, np.float32)})
    for name, length, text in (
        ("length", 2**39, b"{}"),
        ("blanks", 2**27, b"{" + b" " * 2**20),
        ("depth", 60_000, b'{"a":' * 12_000),
    ):
        (folder / f"{name}.safetensors").write_bytes(struct.pack("<Q", length) + text)
    return sorted(path.name for path in folder.iterdir())


READ = """
import resource, sys
from pathlib import Path
import cnnjax.weights
from cnnjax.errors import BadArgument, Failed
from cnnjax.weights.read import pickles

pickles.MOST_STEPS = 400_000  # a fifth of the time
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, len(cnnjax.weights.read_state_dict(path)), sep=": ")
    except (BadArgument, Failed) as error:
        print(path.name, "no memory" if "memory" in str(error) else "refused", sep=": ")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited as on Linux")
def test_hostile_files_end_in_little_memory(tmp_path):
    """A quarter of a gigabyte besides what the imports take. What hangs makes the test hang."""
    names = hostile(tmp_path)
    command = [sys.executable, "-W", "error", "-c", READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(": ") for line in done.stdout.splitlines())
    assert list(told) == names
    read = {name: int(words) for name, words in told.items() if words != "refused"}
    assert read == {"views.pth": 1_500, "views, old.pth": 1_500, "many mappings.pth": 1}
