"""Starting again with huge pages."""

import os
import sys

import pytest

from cnnjax.runtime import huge_pages


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Pretend that this system can do it; record the call instead of making it."""
    made = []
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(os, "execve", lambda *call: made.append(call))
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: ("glibc", "2.36"))
    mode = tmp_path / "enabled"
    mode.write_text("always [madvise] never\n")
    monkeypatch.setattr(huge_pages, "_MODE", mode)
    return made


def test_the_same_command_starts_again_with_the_request(calls):
    huge_pages.use_huge_pages()
    [(program, arguments, environment)] = calls
    assert program == sys.executable
    assert arguments[1:] == sys.orig_argv[1:]
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert {**environment, "GLIBC_TUNABLES": None} == {**os.environ, "GLIBC_TUNABLES": None}


def test_never_twice_nor_against_the_users_wish(calls, monkeypatch):
    for value in ("", "glibc.malloc.hugetlb=1"):
        monkeypatch.setenv("GLIBC_TUNABLES", value)
        huge_pages.use_huge_pages()
    assert not calls


@pytest.mark.parametrize("mode", ["[always] madvise never", "always madvise [never]", None])
def test_nothing_where_it_changes_nothing(calls, mode):
    if mode is None:
        huge_pages._MODE.unlink()
    else:
        huge_pages._MODE.write_text(mode)
    huge_pages.use_huge_pages()
    assert not calls


@pytest.mark.parametrize("libc", [("", ""), ("glibc", "2.31")])
def test_nothing_with_another_c_library(calls, monkeypatch, libc):
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: libc)
    huge_pages.use_huge_pages()
    assert not calls
