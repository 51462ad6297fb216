"""The command `cnnjax`: finds the function that a command names, and words what went wrong.

A command is a module here with a function of the same name, whose typed arguments tyro reads, or a
mapping of that name from subcommands to such functions. It is imported when it is called.
"""

import importlib
import inspect
import io
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from cnnjax.cli.failure import INTERRUPTED, printable_lines, worded
from cnnjax.errors import unknown
from cnnjax.runtime import use_huge_pages

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, str] = {
    "models": "list the networks",
    "summary": "a network layer by layer: shapes, parameters, multiply-adds",
    "data": "list, prepare and look at datasets",
    "train": "train one network",
    "transfer": "retrain a network with published weights for other classes",
    "bench": "how fast networks are here, against the stock operations and PyTorch",
    "compare": "train several networks on equal terms and report",
    "sweep": "search for a network's learning rate and other scalars",
    "predict": "what is on photographs, by a network with published weights",
    "features": "what a network makes of images, as arrays for any other tool",
    "explain": "what on a photograph speaks for a class, as a picture",
    "export": "a network as a program that runs without this library",
    "weights": "check published weights in the network that they are for",
}

_EXAMPLES = (
    "cnnjax models 'resnet*'",
    "cnnjax summary resnet50 --depth 1",
    "cnnjax compare lenet5 resnet8_cifar --data mnist5k --seeds 3 --epochs 5 --out runs/mine",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: done; 1: the work failed; 2: bad arguments; 130: interrupted; 141: the reader of the output
    went away. A failure is one line on standard error; `CNNJAX_TRACEBACK=1` shows where it
    happened.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    _write_anything()
    try:
        if (
            argv is None
            and arguments[:1]
            and arguments[0] in ("train", "compare", "sweep", "bench")
        ):
            use_huge_pages()
        with warnings.catch_warnings():
            warnings.showwarning = _warner()
            status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _give_up_output()
        return 141
    except KeyboardInterrupt:
        _complain(INTERRUPTED)
        return 130
    except Exception as error:
        if os.environ.get("CNNJAX_TRACEBACK", "") not in ("", "0"):
            raise
        status, line = worded(error)
        _complain(line)
        return status


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

    from cnnjax.cli.arguments import REGISTRY
    from cnnjax.runtime import enable_cache

    command = getattr(importlib.import_module(f"cnnjax.cli.{first}"), first)
    enable_cache()
    # A flag that is off has no --no-flag beside it.
    settings: dict[str, Any] = {
        "prog": f"cnnjax {first}",
        "args": arguments[1:],
        "config": (tyro.conf.FlagCreatePairsOff,),
        "registry": REGISTRY,
    }
    try:
        if isinstance(command, Mapping):
            status = tyro.extras.subcommand_cli_from_dict(dict(command), **settings)
        else:
            # Left to itself tyro drops an `Example:` that stands on lines of its own.
            description = (inspect.getdoc(command) or "").partition("\n\nArgs:")[0]
            status = tyro.cli(command, description=description, **settings)
    except SystemExit as stop:  # tyro's way to end after --help or a usage error
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
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


def _write_anything() -> None:
    """Let output be written whatever its encoding: what that lacks is escaped, not an error."""
    if sys.stdout is None:  # closed by who called; Python's own print then does nothing either
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _warner() -> Callable[..., None]:
    """Return what shows a warning as one line, and no second one from the same place.

    A full disk is told by JAX once for every program that it compiles, in four lines each.
    """
    places = set()

    def show(message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        if (filename, lineno) not in places:
            places.add((filename, lineno))
            _complain(f"warning: {str(message).strip().partition(chr(10))[0]}")

    return show


def _give_up_output() -> None:
    """Python flushes standard output once more at exit: give it somewhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _give_up_output()
    print(f"cnnjax: {printable_lines(line)}", file=sys.stderr)
