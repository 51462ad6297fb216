import contextlib
import stat

import pytest

from cnnjax.errors import Failed
from cnnjax.files import replacing


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
