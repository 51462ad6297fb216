import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import jax

import cnnjax
from cnnjax.records import provenance
from cnnjax.records.provenance import command_line, commit, hardware, versions
from cnnjax.runtime import processor


def test_versions_are_those_installed():
    found = versions()
    for package in ("jax", "jaxlib", "flax", "optax", "numpy"):
        assert found[package] == importlib.metadata.version(package)
    assert set(found) == {"python", "cnnjax", "jax", "jaxlib", "flax", "optax", "numpy"}


def git(directory, *arguments):
    name = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", directory, *name, *arguments], check=True, capture_output=True)


def test_commit_of_a_checkout(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit(package) is None
    git(tmp_path, "init")
    assert commit(package) is None  # in a checkout, but not of it
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = commit(package)
    assert len(clean["hash"]) == 40
    assert not clean["dirty"]
    (tmp_path / "new.py").write_text("")
    assert commit(package) == {"hash": clean["hash"], "dirty": True}


def test_hardware_is_what_the_system_says(monkeypatch):
    found = hardware()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["processor"] == processor()
    assert found["memory_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found["devices"] == [f"{d.platform}: {d.device_kind}" for d in jax.devices()]
    assert found["system"] == f"{platform.system()} {platform.machine()}"
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    if models:
        assert found["cpu"] == models[0].split(": ", 1)[1].strip()
    monkeypatch.setenv("GLIBC_TUNABLES", "a=b")
    assert hardware()["glibc_tunables"] == "a=b"

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert hardware()["memory_bytes"] is None


def test_what_is_not_installed_is_unknown(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(provenance, "version", absent)
    found = versions()
    assert found["jax"] == "unknown"
    assert (found["cnnjax"], found["python"]) == (cnnjax.__version__, platform.python_version())


def test_without_git_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() is None


def test_a_git_that_does_not_answer_is_not_waited_for(monkeypatch, tmp_path):
    """The index may be locked, or lie on a disk that is gone."""

    def hanging(command, *, timeout=None, **_):
        assert timeout is not None
        assert 1 <= timeout <= 60
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hanging)
    assert commit(tmp_path) is None


def test_hardware_is_named():
    found = hardware()
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert len(found["devices"]) == 2  # of tests/conftest.py


def test_command_line_is_quoted_and_without_the_path():
    assert command_line(["/usr/bin/cnnjax", "compare", "a:b=(1, 2)"]) == (
        "cnnjax compare 'a:b=(1, 2)'"
    )
    assert command_line(["/a/cnnjax/__main__.py", "bench"]) == "python -m cnnjax bench"
    assert command_line(["experiments/x.py", "--out", "o"]) == "python experiments/x.py --out o"


def test_the_command_line_is_that_of_this_process(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/a/b/cnnjax", "bench", "$x"])
    assert command_line() == "cnnjax bench '$x'"
