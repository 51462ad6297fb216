"""The kind of processor, from what Linux says of it and from the environment."""

import os
import subprocess
import sys

import pytest

from cnnjax.errors import BadArgument
from cnnjax.runtime import PROCESSORS, processor, processors
from cnnjax.runtime.processors import kind_of

AVX2 = {"sse", "avx", "avx2"}
AVX512 = AVX2 | {"avx512f"}


@pytest.mark.parametrize(
    ("machine", "flags", "kind"),
    [
        ("x86_64", AVX2, "avx2"),
        ("x86_64", AVX512, "avx512"),
        ("x86_64", AVX512 | {"amx_tile"}, "avx512"),
        ("x86_64", AVX512 | {"amx_tile", "amx_bf16"}, "amx"),
        ("x86_64", {"sse"}, "other"),
        ("x86_64", None, "avx2"),
        ("AMD64", None, "avx2"),
        ("aarch64", {"asimd"}, "aarch64"),
        ("arm64", None, "aarch64"),
        ("riscv64", None, "other"),
    ],
)
def test_kinds(machine, flags, kind):
    assert kind_of(machine, None if flags is None else frozenset(flags)) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [("vendor_id\t: x\nflags\t\t: avx2 avx512f\nflags\t: sse\n", "avx512"), ("", "avx2")],
)
def test_flags_are_those_of_the_first_core(text, kind, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processors, "_CPUINFO", tmp_path / "cpuinfo")
    assert kind_of("x86_64", processors._flags()) == kind
    monkeypatch.setattr(processors, "_CPUINFO", tmp_path / "absent")
    assert processors._flags() is None


@pytest.mark.parametrize("kind", PROCESSORS)
def test_the_environment_names_another(kind, monkeypatch):
    monkeypatch.setenv("CNNJAX_PROCESSOR", kind)
    assert processor.__wrapped__() == kind


def test_an_unknown_name_is_refused(monkeypatch):
    monkeypatch.setenv("CNNJAX_PROCESSOR", "avx513")
    with pytest.raises(BadArgument, match=r"CNNJAX_PROCESSOR: unknown name 'avx513'; did you mean"):
        processor.__wrapped__()


def test_it_is_refused_by_a_command_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "cnnjax", "models"],
        capture_output=True,
        text=True,
        env={**os.environ, "CNNJAX_PROCESSOR": "none"},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "CNNJAX_PROCESSOR" in done.stderr
