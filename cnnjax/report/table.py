"""The comparison as tables on a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnjax.compare.verdict import (
    LEVEL,
    Difference,
    Row,
    differences_with_best,
    rows_of,
)
from cnnjax.files import printable

__all__ = ["accuracy_text", "caution", "difference_texts", "print_tables"]


def print_tables(results: Mapping[str, Any], console: Console | None = None) -> None:
    """Print accuracy and cost of every network, the differences with the best, and failed runs."""
    rows = rows_of(results)
    console = console or Console()
    console.print(_accuracies(rows, results))
    differences = differences_with_best(rows)
    if differences:
        console.print(_differences(differences))
        console.print(f"[dim]{caution(differences)}[/dim]")
    for failure in results["failures"]:
        line = f"failed: {failure['network']} seed {failure['seed']}: {failure['error']}"
        console.print(_plain(line), style="red")


def accuracy_text(row: Row) -> str:
    """Return `98.10 ± 0.12 (3)`: mean and standard deviation in percent, and n."""
    if not row.n:
        return "none finished"
    spread = "" if math.isnan(row.sd) else f" ± {100 * row.sd:.2f}"
    return f"{100 * row.mean:.2f}{spread} ({row.n})"


def difference_texts(difference: Difference) -> tuple[str, str, str]:
    """Return the mean difference in points, its interval and the adjusted p-value.

    No rounding hides on which side of 0 an interval ends, or a p-value of 0.05.
    """
    interval, p_value = "-", "-"
    if not math.isnan(difference.low):
        interval = f"{_points(difference.low)} to {_points(difference.high)}"
    if not math.isnan(difference.p):
        p_value = "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
        if difference.significant and p_value == f"{LEVEL:.3f}":
            p_value = f"< {LEVEL:g}"
    return _points(difference.mean), interval, p_value


def caution(differences: Sequence[Difference]) -> str:
    """Return what so few seeds can and cannot show."""
    several = sorted(difference.n for difference in differences if difference.n > 1)
    if not several:
        return "With a single shared seed nothing can be said of the spread: use three or more."
    least, most = several[0], several[-1]
    n = f"{least}" if least == most else f"{least} to {most}"
    text = f"Paired t-tests over n = {n} seeds assume normal differences"
    without = 2 / 2**least
    if without >= LEVEL:
        text += (
            f"; a test without that assumption could not get below p = {without:.3g} with so few"
        )
    sentences = [f"{text}.", "They speak of other seeds, not of other test images."]
    if len(several) > 1:
        words = f"Intervals and p-values are Bonferroni's for {len(several)} comparisons"
        sentences.append(f"{words}: they hold all at once.")
    if len(several) < len(differences):
        sentences.append("Where a single seed is shared nothing can be said of the spread.")
    return " ".join(sentences)


def _points(share: float) -> str:
    text = f"{100 * share:+.2f}"
    return text if float(text) or not share else f"{100 * share:+.1g}"


def _plain(text: str) -> Text:
    """Return text from outside as it is: no markup, nothing that a terminal would obey."""
    return Text(printable(text))


def _accuracies(rows: list[Row], results: Mapping[str, Any]) -> Table:
    size = results["data"]["sizes"]["test"]
    epochs = results["recipe"]["epochs"]
    trained = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    title = f"{results['data']['name']}: {size:,} test images, {trained}"
    table = Table(title=_plain(title), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("network", overflow="fold")
    for name in ("parameters", "multiply-adds", "accuracy, %\nmean ± sd (n)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("train\nseconds", "compile\nseconds"):
        table.add_column(name, justify="right")
    for row in rows:
        failed = f" [red]{row.failed} failed[/red]" if row.failed else ""
        table.add_row(
            _plain(row.network),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            accuracy_text(row) + failed,
            f"{row.train_seconds:.1f}" if row.n else "-",
            f"{row.compile_seconds:.1f}" if row.n else "-",
        )
    return table


def _differences(differences: list[Difference]) -> Table:
    table = Table(
        title=_plain(f"difference with {differences[0].best}, points"),
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("network", overflow="fold")
    for name in ("mean", "95 % interval", "p", "seeds"):
        table.add_column(name, justify="right")
    for difference in differences:
        table.add_row(_plain(difference.network), *difference_texts(difference), str(difference.n))
    return table
