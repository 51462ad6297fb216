"""Tables on the terminal: one style, every number whole, full width where nobody looks on."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["console", "print_json", "print_table", "whole"]

LEAST_TEXT = 12
"""Text is wrapped down to this width before another column is left out."""

LEAST_NAME = 24
"""The same for the first column, of names."""


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
    """Print a table that fits the terminal and never cuts a number.

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
    heads = [column.removeprefix(">") for column in columns]
    widths = [max(map(len, cells)) for cells in zip(heads, *rows, totals or heads, strict=True)]
    kept = list(range(len(columns)))
    fitted: Mapping[int, int] | None = None
    for heading in (None, *spare):
        if heading is not None:
            kept.remove(columns.index(heading))
        fitted = _fitted({index: widths[index] for index in kept}, number, screen.width)
        if fitted is not None:
            break
    fitted = fitted or dict(enumerate(widths))  # too narrow for the numbers: rich cuts them
    table = Table(
        box=SIMPLE_HEAD,
        title=Text(title, "bold") if title else None,
        title_justify="left",
        show_footer=bool(totals),
        footer_style="bold",
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for index in kept:
        table.add_column(
            heads[index],
            footer=totals[index] if totals else "",
            justify="right" if number[index] else "left",
            width=fitted[index],
            overflow="fold",
        )
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        table.add_row(*(Text(row[index]) for index in kept), style=style)
    screen.print(table)


def _fitted(
    widths: Mapping[int, int], number: Sequence[bool], available: int
) -> Mapping[int, int] | None:
    """Narrow the columns of text, the widest first, until all fit; None if they cannot."""
    fitted = dict(widths)
    least = {0: LEAST_NAME}
    while sum(fitted.values()) + 2 * len(fitted) - 1 > available:
        room = {
            index: width - least.get(index, LEAST_TEXT)
            for index, width in fitted.items()
            if not number[index]
        }
        index = max(room, key=room.__getitem__)
        if room[index] <= 0:
            return None
        fitted[index] -= 1
    return fitted


def whole(value: int | None) -> str:
    """Return an integer with thousands separators, "" for 0 or None.

    >>> whole(11689512)
    '11,689,512'
    """
    return f"{value:,}" if value else ""


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2))
