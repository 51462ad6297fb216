import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnjax import __version__, cli
from cnnjax.cli import main


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("CNNJAX_CACHE_DIR", "off")


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
    shown = " ".join(capsys.readouterr().out.split("usage:")[1].split("\n", 1)[1].split())
    assert f"cnnjax {command}" in shown
    function = getattr(importlib.import_module(f"cnnjax.cli.{command}"), command)
    for each in function.values() if isinstance(function, dict) else [function]:
        if each is function:  # one without subcommands shows all that its docstring says
            text, _, _ = inspect.getdoc(each).partition("\n\nArgs:")
            assert all(word in shown for word in text.split())


def test_usage_errors_of_a_command(capsys):
    assert main(["summary"]) == 2
    assert main(["summary", "lenet5", "--dept", "1"]) == 2
    assert "--depth" in capsys.readouterr().err


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


def test_output_is_json(capsys):
    assert main(["models", "lenet5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "lenet5"
