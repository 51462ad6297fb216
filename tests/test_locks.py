"""One holder a directory, until it lets go or dies."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cnnjax.errors import Failed
from cnnjax.files import locked

HOLD = (
    "import sys, time\n"
    "from cnnjax.files import locked\n"
    "with locked(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_directory_has_one_holder_at_a_time(tmp_path):
    with locked(tmp_path / "new", "checkpoint_dir"):
        with (
            pytest.raises(Failed, match=r"checkpoint_dir: another run is writing to .*new"),
            locked(tmp_path / "new", "checkpoint_dir"),
        ):
            pytest.fail("held twice")
        with locked(tmp_path / "other"):
            pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "new"):
        _ = 1 / 0
    with locked(tmp_path / "new"):
        assert os.listdir(tmp_path / "new") == [".lock"]


def test_another_process_holds_it_until_it_is_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Failed, match="another run"), locked(tmp_path):
            pytest.fail("held twice")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path):
        pass


def test_what_lies_in_the_locks_place_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".lock").symlink_to("precious")
    with locked(tmp_path):
        assert (tmp_path / "precious").read_text() == "kept"
    (tmp_path / "a" / ".lock").mkdir(parents=True)
    with pytest.raises(Failed, match="out: cannot write"), locked(tmp_path / "a"):
        pytest.fail("held")


def test_windows_locks_the_first_byte(tmp_path, monkeypatch):
    calls = []

    def locking(descriptor, mode, length):
        calls.append((mode, length))
        if len(calls) > 1:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    monkeypatch.setattr("cnnjax.files.sys", SimpleNamespace(platform="win32"))
    with (
        locked(tmp_path),
        pytest.raises(Failed, match="another run"),
        locked(tmp_path),
    ):
        pytest.fail("held twice")
    assert calls == [(2, 1), (2, 1)]
