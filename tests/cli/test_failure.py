"""Whatever comes out of a command is one line, in any encoding, and an exit status."""

import errno
import io
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import pytest

from cnnjax import cli
from cnnjax.cli import failure, main, summary
from cnnjax.errors import BadArgument, Failed

ROOT = Path(cli.__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")
    monkeypatch.delenv("CNNJAX_TRACEBACK", raising=False)


def raising(monkeypatch, error):
    """Make `cnnjax summary` raise, and call it."""

    def command() -> None:
        """Fail."""
        raise error

    monkeypatch.setattr(summary, "summary", command)
    return main(["summary"])


def python(code, *, output=subprocess.PIPE, **variables):
    """Run a program of a few lines in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=output,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "CNNJAX_CACHE_DIR": "off", **variables},
    )


RUN = "import sys; from cnnjax.cli import main; sys.exit(main({}))"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BadArgument("rate: got 2"), 2, "rate: got 2"),
        (Failed("the loss is not finite"), 1, "the loss is not finite"),
        (PermissionError(13, "Permission denied", "runs"), 1, "runs: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (OSError("said so"), 1, "said so"),
        (TimeoutError(), 1, "TimeoutError"),
        (KeyboardInterrupt(), 130, failure.INTERRUPTED),
        (ImportError("no flax"), 1, "a package that this needs cannot be imported: no flax"),
        (UnicodeError("surrogates\nx"), 1, "a text cannot be written: surrogates"),
        (MemoryError(), 1, "memory does not suffice; take a smaller batch, smaller images"),
        (
            MemoryError("Unable to allocate 9 TiB"),
            1,
            "memory does not suffice (Unable to allocate 9",
        ),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out"), 1, "memory does not suffice (RES"),
        (ValueError("Maximum allowed dimension exceeded"), 1, "memory does not suffice (Maximum"),
        (ValueError("array is too big; `arr.size`"), 1, "memory does not suffice (array is"),
        (ValueError("shape has a size exceeding 2^63"), 1, "memory does not suffice (shape has"),
        (RecursionError("maximum depth"), 1, "something is nested too deeply (maximum depth)"),
        (OverflowError("int too large"), 1, "a number is too large (int too large)"),
        (jax.errors.JaxRuntimeError("INTERNAL: x\nmore"), 1, "XLA: INTERNAL: x\n"),
        (ZeroDivisionError(), 1, "internal error: ZeroDivisionError (cli/__init__.py:"),
        (KeyError("a\nb"), 1, r"internal error: KeyError: 'a\nb' (cli/"),
    ],
)
def test_failures_are_one_line(monkeypatch, capsys, error, status, line):
    assert raising(monkeypatch, error) == status
    written = capsys.readouterr().err
    assert written.startswith(f"cnnjax: {line}")
    assert written.count("\n") == 1
    assert ("please report it" in written) == ("internal" in line)


def test_an_internal_error_has_the_place_in_this_package():
    from cnnjax.files import decoded

    try:
        decoded(5, int, "x")  # no text at all
    except TypeError as error:
        status, line = failure.worded(error)
        place = error.__traceback__.tb_next.tb_lineno
    assert status == 1
    assert f"(files.py:{place}); please report it" in line
    assert "(outside of cnnjax)" in failure.worded(KeyError("x"))[1]


@pytest.mark.parametrize("error", [Failed("x"), BadArgument("x"), OSError("x"), KeyError("x")])
def test_traceback_on_request(monkeypatch, error):
    monkeypatch.setenv("CNNJAX_TRACEBACK", "1")
    with pytest.raises(type(error)):
        raising(monkeypatch, error)
    monkeypatch.setenv("CNNJAX_TRACEBACK", "0")
    assert raising(monkeypatch, error) in (1, 2)


def test_text_from_outside_is_escaped(monkeypatch, capsys):
    assert raising(monkeypatch, Failed("a\x1b[2Jb\x07 \udc80 é\nsecond")) == 1
    assert capsys.readouterr().err == "cnnjax: a\\x1b[2Jb\\x07 \\udc80 é\nsecond\n"
    assert main(["summary\x1b[31m"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("platform", ["nope", "cpu,nope", "cuda"])
def test_a_platform_that_is_not_there(platform):
    compute = """
import jax
from cnnjax.cli import summary
def command() -> None:
    jax.numpy.zeros(1)
summary.summary = command
"""
    done = python(compute + RUN.format(["summary"]), JAX_PLATFORMS=platform)
    if done.returncode == 0:
        pytest.skip(f"there is {platform} here")
    line = done.stderr.decode()
    assert done.returncode == 1
    assert line.startswith(f"cnnjax: JAX_PLATFORMS: {platform!r} cannot be used here")
    assert line.endswith("allowed: cpu\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
@pytest.mark.parametrize("call", [["models", "lenet5"], ["summary", "lenet5"], ["--help"]])
def test_any_encoding_will_do(encoding, call, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(call) == 0
    print("10⁹ \udc80 ü")  # what a command prints from now on
    out.flush()
    text = out.buffer.getvalue().decode(encoding)
    assert text.strip()
    assert {"ascii": r"10\u2079 \udc80 \xfc", "utf-8": r"10⁹ \udc80 ü"}.get(
        encoding, r"10\u2079 \udc80 ü"
    ) in text


def test_names_that_no_encoding_has(capsys, tmp_path):
    out = f"{tmp_path}/\udc80"
    assert main(["summary", "\udc80"]) == 2
    assert main(["train", "cnn", "--data", "nope", "--out", out, "--data-dir", out]) == 2
    assert main(["\udc80"]) == 2
    assert capsys.readouterr().err.count(r"\udc80") >= 3


@pytest.mark.parametrize("module", ["jax", "tyro", "flax.linen", "rich.console"])
def test_an_interruption_while_modules_are_imported(module):
    code = f"""
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
{RUN.format(["models", "lenet5"])}
"""
    done = python(code)
    assert (done.returncode, done.stdout) == (130, b"")
    assert done.stderr.decode() == f"cnnjax: {failure.INTERRUPTED}\n"


def test_nothing_slow_is_imported_before_interruptions_are_heard():
    code = "import sys, cnnjax.cli; print(sorted(sys.modules))"
    loaded = python(code).stdout.decode()
    assert "'cnnjax.cli'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("jax", "flax", "numpy", "rich", "tyro"))


@pytest.mark.parametrize("call", [["models"], ["models", "--help"], ["--help"]])
def test_output_that_cannot_be_written(call):
    with open("/dev/full", "wb") as full:
        done = python(RUN.format(call), output=full)
    assert (done.returncode, done.stderr) == (1, b"cnnjax: No space left on device\n")


def test_output_that_is_closed():
    command = f"exec {shlex.quote(sys.executable)} -m cnnjax --help >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")


def test_warnings_are_a_line_each_and_once_from_one_place(monkeypatch, capsys):
    def command() -> None:
        """Warn."""
        warnings.simplefilter("always")
        for number in range(3):
            warnings.warn(f"the disk is full {number}\nand more\x1b[2J", stacklevel=1)
        warnings.warn("another\x1b[2J", stacklevel=1)

    monkeypatch.setattr(summary, "summary", command)
    for _ in range(2):  # and anew in a second call
        assert main(["summary"]) == 0
        assert capsys.readouterr().err.splitlines() == [
            "cnnjax: warning: the disk is full 0",
            r"cnnjax: warning: another\x1b[2J",
        ]
