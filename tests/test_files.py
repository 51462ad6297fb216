import contextlib
import dataclasses
import os
import stat
from typing import Annotated

import msgspec
import pytest

from cnnjax.errors import BadArgument, Failed
from cnnjax.files import checked, decoded, printable, read_bytes, replacing


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as stream:
        stream.write(b"first")
        assert not path.exists()
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_ends_early_leaves_the_file_as_it_was(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_bytes(b"before")
    stack = contextlib.ExitStack()
    stack.enter_context(replacing(path)).write(b"half")
    with pytest.raises(error), stack:
        raise error
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_system_that_cannot_write_is_told_with_the_argument(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    told = "checkpoint_dir: cannot write to .*file/a/b: Not a directory; what is there is kept"
    with pytest.raises(Failed, match=told), replacing(tmp_path / "file/a/b", "checkpoint_dir"):
        pass


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    os.mkfifo(tmp_path / "pipe")
    assert read_bytes(tmp_path / "file", "weights", at_most=4) == b"1234"
    with pytest.raises(Failed, match=r"weights: .*file' has 4 bytes, .*3"):
        read_bytes(tmp_path / "file", "weights", at_most=3)
    for name, kind in (("pipe", "a pipe or a device"), (".", "a directory")):
        with pytest.raises(BadArgument, match=rf"image: .* is {kind}; allowed: a regular file"):
            read_bytes(tmp_path / name, "image", at_most=9)
    with pytest.raises(BadArgument, match="is a pipe or a device"):
        read_bytes("/dev/zero", "image", at_most=9)
    for name in ("none", "file/none", "a\0b"):
        with pytest.raises(BadArgument, match="image: "):
            read_bytes(tmp_path / name, "image", at_most=9)


@dataclasses.dataclass(frozen=True)
class Form:
    number: Annotated[int, msgspec.Meta(ge=0, le=9)]
    names: tuple[str, ...] = ()

    def __post_init__(self):
        if self.number == 7:
            raise BadArgument("number: 7 is not allowed")


def test_json_is_read_as_what_it_must_be():
    assert decoded(b'{"number": 1, "names": ["a"]}', Form, "f") == Form(1, ("a",))
    assert checked({"number": 1}, Form, "f") == Form(1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"number": "1"}', "Expected `int`, got `str` - at `$.number`"),
        ('{"number": 10}', "<= 9"),
        ('{"number": NaN}', "malformed"),
        ('{"number": true}', "Expected `int`, got `bool`"),
        ('{"number": 7}', "7 is not allowed"),
        ('{"number": 1, "names": [null]}', "$.names[0]"),
        ('{"names": []}', "missing required field `number`"),
        ('{"number": 1', "truncated"),
        (b"\xff", "damaged"),
    ],
)
def test_json_that_is_something_else_is_refused(content, told):
    with pytest.raises(Failed, match=r"^a file: damaged, or written by another version") as error:
        decoded(content, Form, "a file")
    assert told in str(error.value)


def test_what_is_printed_cannot_steer_a_terminal():
    assert printable("caf\u00e9 10\u2079") == "caf\u00e9 10\u2079"
    assert printable("\x1b]0;title\x07\n\u202e\ud800") == r"\x1b]0;title\x07\n\u202e\ud800"


def test_json_without_a_bottom_is_refused():
    with pytest.raises(Failed, match="recursion"):
        decoded("[" * 100_000, list, "a file")
