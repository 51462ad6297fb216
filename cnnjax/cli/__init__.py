"""The command `cnnjax`: finds the function that a command names, and words what went wrong.

A command is a module here with a function of the same name, whose typed arguments tyro reads, or a
mapping of that name from subcommands to such functions. It is imported when it is called.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from cnnjax.cli.huge_pages import use_huge_pages
from cnnjax.errors import BadArgument, Failed, unknown

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, str] = {
    "models": "list the networks",
    "summary": "a network layer by layer: shapes, parameters, multiply-adds",
    "data": "list, prepare and look at datasets",
    "train": "train one network",
    "bench": "how fast networks are here, against the stock operations and PyTorch",
    "compare": "train several networks on equal terms and report",
    "predict": "what is on photographs, by a network with published weights",
    "explain": "what on a photograph speaks for a class, as a picture",
    "export": "a network as a program that runs without this library",
    "weights": "check published weights in the network that they are for",
}

_EXAMPLES = (
    "cnnjax models 'resnet*'",
    "cnnjax summary resnet50 --depth 1",
    "cnnjax compare lenet5 resnet20_cifar --data digits --seeds 3 --epochs 5 --out runs/digits",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: done; 1: the work failed; 2: bad arguments; 130: interrupted; 141: the reader of the output
    went away. A failure is one line on standard error; `CNNJAX_TRACEBACK=1` shows where it
    happened.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if argv is None and arguments[:1] and arguments[0] in ("train", "compare", "bench"):
        use_huge_pages()
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # tyro's way to end after --help or a usage error
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BrokenPipeError:
        # Python flushes standard output once more at exit: give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        _complain("interrupted; the same command again goes on from what is saved")
        return 130
    except (BadArgument, Failed, OSError) as error:
        if os.environ.get("CNNJAX_TRACEBACK", "") not in ("", "0"):
            raise
        _complain(_worded(error))
        return 2 if isinstance(error, BadArgument) else 1


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in ("", "-h", "--help"):
        _print_help(sys.stdout if first else sys.stderr)
        return 0 if first else 2
    if first == "--version":
        from cnnjax import __version__

        print(f"cnnjax {__version__}")
        return 0
    if first not in COMMANDS:
        raise unknown("command", first, COMMANDS)

    import tyro

    from cnnjax.cli.cache import enable_cache

    command = getattr(importlib.import_module(f"cnnjax.cli.{first}"), first)
    enable_cache()
    # A flag that is off has no --no-flag beside it.
    settings: dict[str, Any] = {
        "prog": f"cnnjax {first}",
        "args": arguments[1:],
        "config": (tyro.conf.FlagCreatePairsOff,),
    }
    if isinstance(command, Mapping):
        status = tyro.extras.subcommand_cli_from_dict(dict(command), **settings)
    else:
        # Left to itself tyro drops an `Example:` that stands on lines of its own.
        description = (inspect.getdoc(command) or "").partition("\n\nArgs:")[0]
        status = tyro.cli(command, description=description, **settings)
    return int(status or 0)


def _print_help(file: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(file=file, highlight=False)
    console.print(
        "[bold]cnnjax[/] COMMAND ...   the laboratory for convolutional networks in JAX\n"
    )
    table = Table.grid(padding=(0, 3))
    for name, line in COMMANDS.items():
        table.add_row(f"  [bold cyan]{name}[/]", line)
    console.print(table)
    console.print("\n[bold]cnnjax COMMAND --help[/] tells the arguments of a command.\n")
    for example in _EXAMPLES:
        console.print(f"  [dim]$[/] {example}")
    console.print(
        "\n[dim]CNNJAX_CACHE_DIR: where compiled programs are kept, off for nowhere; "
        "CNNJAX_TRACEBACK=1: where an error happened.[/]"
    )


def _worded(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _complain(line: str) -> None:
    sys.stdout.flush()
    print(f"cnnjax: {line}", file=sys.stderr)
