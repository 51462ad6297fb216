"""Tables on the terminal: one style, numbers and names whole, full width where nobody looks on."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnjax.files import printable

__all__ = ["console", "print_json", "print_table", "tell", "whole"]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # main() ends quietly; rich would end with the status of a failure


def console() -> Console:
    """Return a console on standard output, as wide as it needs to be where that is a file."""
    unlimited = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _Console(highlight=False, width=1000 if unlimited else None)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    totals: Sequence[str] = (),
    styles: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print a table that fits the terminal and never cuts a number or a name.

    Text from files is escaped where a terminal would obey it.

    Args:
        columns: the headings; one that starts with ">" is of numbers, aligned right.
        rows: the cells, as many as there are columns.
        title: a line above.
        totals: the cells of a last row, set off by a line.
        styles: a rich style for each row.
        spare: headings in the order in which columns are left out where the terminal is narrow.
    """
    screen = console()
    number = [column.startswith(">") for column in columns]
    heads = [printable(column.removeprefix(">")) for column in columns]
    cells = [[printable(cell) for cell in row] for row in rows]
    foot = [printable(cell) for cell in totals]
    kept, widths = _fitted(columns, [heads, *cells, *([foot] if foot else [])], spare, screen.width)
    if title:
        screen.print(Text(printable(title), "bold"))
    table = Table(
        box=SIMPLE_HEAD,
        show_footer=bool(foot),
        footer_style="bold",
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for index in kept:
        table.add_column(
            Text(heads[index]),
            footer=Text(foot[index]) if foot else "",
            justify="right" if number[index] else "left",
            width=widths[index],
            overflow="fold",
        )
    for row, style in zip(cells, styles or [""] * len(cells), strict=True):
        table.add_row(*(Text(row[index]) for index in kept), style=style)
    screen.print(table)


def _fitted(
    columns: Sequence[str], lines: Sequence[Sequence[str]], spare: Sequence[str], available: int
) -> tuple[list[int], list[int]]:
    """Return which columns are shown, and how wide each of all is.

    Text wraps between its words; where that is not enough, spare columns go; and where that is not
    enough either, rich folds what is left.
    """
    full = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    # Of numbers and names a line holds the whole, of other text at least its longest word.
    least = [
        width
        if heading.startswith(">")
        else max(cell_len(word) for cell in column for word in (*cell.split(), ""))
        for heading, width, column in zip(columns, full, zip(*lines, strict=True), strict=True)
    ]
    kept = list(range(len(columns)))
    leaving = [columns.index(heading) for heading in spare]
    while leaving and _total(least, kept) > available:
        kept.remove(leaving.pop(0))
    widths = list(full)
    while _total(widths, kept) > available:
        index = max(kept, key=lambda index: widths[index] - least[index])
        if widths[index] <= least[index]:
            break
        widths[index] -= 1
    return kept, widths


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + 2 * len(kept) - 1


def whole(value: int | None) -> str:
    """Return an integer with thousands separators, "" for 0 or None.

    >>> whole(11689512)
    '11,689,512'
    """
    return f"{value:,}" if value else ""


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2))


def tell(text: str) -> None:
    """Say on standard error what the user should know, line by line; nothing for no text."""
    for line in text.splitlines():
        print(f"cnnjax: {printable(line)}", file=sys.stderr)
