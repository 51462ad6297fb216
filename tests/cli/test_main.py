import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from cnnjax import __version__, cli
from cnnjax.cli import cache, main, summary
from cnnjax.errors import BadArgument, Failed


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


def raising(monkeypatch, error):
    """Make `cnnjax summary NAME` raise."""

    def command(name: str = "") -> None:
        """Fail."""
        raise error

    monkeypatch.setattr(summary, "summary", command)
    return main(["summary"])


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cnnjax {__version__}\n"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


def test_no_command_is_a_usage_error(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "cnnjax COMMAND" in captured.err


def test_wrong_command_suggests_the_nearest(capsys):
    assert main(["sumary"]) == 2
    assert "did you mean 'summary'" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"cnnjax {command}" in capsys.readouterr().out.split("usage:")[1].split("\n", 1)[1]


def test_usage_errors_of_a_command(capsys):
    assert main(["summary"]) == 2
    assert main(["summary", "lenet5", "--dept", "1"]) == 2
    assert "--depth" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BadArgument("rate: got 2"), 2, "cnnjax: rate: got 2"),
        (Failed("the loss is not finite"), 1, "cnnjax: the loss is not finite"),
        (PermissionError(13, "Permission denied", "runs"), 1, "cnnjax: runs: Permission denied"),
        (OSError(28, "No space left on device"), 1, "cnnjax: No space left on device"),
        (KeyboardInterrupt(), 130, "the same command again"),
    ],
)
def test_failures_are_one_line(monkeypatch, capsys, error, status, line):
    assert raising(monkeypatch, error) == status
    written = capsys.readouterr().err
    assert line in written
    assert written.count("\n") == 1


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("CNNJAX_TRACEBACK", "1")
    with pytest.raises(Failed):
        raising(monkeypatch, Failed("x"))


def test_mistakes_of_ours_are_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        raising(monkeypatch, ZeroDivisionError())


def test_module_and_closed_pipe():
    """`python -m cnnjax` works, and ends quietly when nobody reads on."""
    program = subprocess.Popen(
        [sys.executable, "-m", "cnnjax", "models"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(cli.__file__).parents[2],
        env=os.environ,
    )
    program.stdout.close()
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait() == 141


def test_cache_directory(monkeypatch, tmp_path):
    assert cache.cache_directory() is None
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path))
    assert cache.cache_directory() == tmp_path
    monkeypatch.delenv("CNNJAX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_directory() == tmp_path / "cnnjax" / "xla"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_directory() == tmp_path / ".cache" / "cnnjax" / "xla"


def test_cache_is_jaxs(monkeypatch, tmp_path):
    updates = {}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr(jax.config, "update", updates.__setitem__)
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "new"))
    assert cache.enable_cache() == tmp_path / "new"
    assert updates["jax_compilation_cache_dir"] == str(tmp_path / "new")
    assert (tmp_path / "new").is_dir()

    updates.clear()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    assert cache.enable_cache() is None
    assert not updates


def test_cache_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert cache.enable_cache() is None
    assert "not kept" in capsys.readouterr().err


def test_output_is_json(capsys):
    assert main(["models", "lenet5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "lenet5"
