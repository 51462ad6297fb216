"""Where compiled programs are kept."""

from pathlib import Path

import jax
import pytest

from cnnjax.cli import main
from cnnjax.runtime import cache


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


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


@pytest.fixture
def full(monkeypatch):
    """Make every temporary file one that nothing fits into."""

    class File:
        def __init__(self, dir):
            assert Path(dir).is_dir()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, content):
            assert len(content) == cache.LEAST_ROOM
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", File)


def test_cache_that_is_full(monkeypatch, tmp_path, capsys, full):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("CNNJAX_CACHE_DIR", str(tmp_path))
    updates = {}
    monkeypatch.setattr(jax.config, "update", updates.__setitem__)
    assert cache.enable_cache() is None
    assert capsys.readouterr().err == (
        "cnnjax: compiled programs are not kept (No space left on device)\n"
    )
    assert not updates


def test_cache_without_a_home(monkeypatch, capsys):
    def nobody(*_):
        raise KeyError

    for name in ("HOME", "CNNJAX_CACHE_DIR", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert main(["models", "lenet5"]) == 0
    captured = capsys.readouterr()
    assert "61,706" in captured.out
    assert captured.err.count("\n") == 1
    assert "there is no home directory; CNNJAX_CACHE_DIR names another one" in captured.err
