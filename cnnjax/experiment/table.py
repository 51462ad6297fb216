"""The comparison as tables on a terminal."""

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cnnjax.experiment.summary import Difference, Row, differences_with_best, rows_of

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
        console.print(line, style="red", markup=False)


def accuracy_text(row: Row) -> str:
    """Return `98.10 ± 0.12 (3)`: mean and standard deviation in percent, and n."""
    if not row.n:
        return "none finished"
    spread = "" if math.isnan(row.sd) else f" ± {100 * row.sd:.2f}"
    return f"{100 * row.mean:.2f}{spread} ({row.n})"


def difference_texts(difference: Difference) -> tuple[str, str, str]:
    """Return the mean difference in points, its interval and the adjusted p-value."""
    interval, p_value = "-", "-"
    if not math.isnan(difference.low):
        interval = f"{100 * difference.low:+.2f} to {100 * difference.high:+.2f}"
    if not math.isnan(difference.p):
        p_value = "< 0.001" if difference.p < 0.001 else f"{difference.p:.3f}"
    return f"{100 * difference.mean:+.2f}", interval, p_value


def caution(differences: list[Difference]) -> str:
    """Return what so few seeds can and cannot show."""
    n = min(difference.n for difference in differences)
    if n < 2:
        return "With a single shared seed nothing can be said of the spread: use three or more."
    least = 2 / 2**n
    text = f"Paired t-tests over n = {n} seeds assume normal differences"
    if least >= 0.05:
        text += f"; a test without that assumption could not get below p = {least:.3g} with so few"
    return f"{text}. They speak of other seeds, not of other test images."


def _accuracies(rows: list[Row], results: Mapping[str, Any]) -> Table:
    size = results["data"]["sizes"]["test"]
    epochs = results["recipe"]["epochs"]
    title = f"{results['data']['name']}: {size:,} test images, {epochs} epochs"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("network", overflow="fold")
    for name in ("parameters", "multiply-adds", "accuracy, %\nmean ± sd (n)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("train\nseconds", "compile\nseconds"):
        table.add_column(name, justify="right")
    for row in rows:
        failed = f" [red]{row.failed} failed[/red]" if row.failed else ""
        table.add_row(
            row.network.replace("[", r"\["),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            accuracy_text(row) + failed,
            f"{row.train_seconds:.1f}" if row.n else "-",
            f"{row.compile_seconds:.1f}" if row.n else "-",
        )
    return table


def _differences(differences: list[Difference]) -> Table:
    table = Table(
        title=f"difference with {differences[0].best}, points",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("network", overflow="fold")
    for name in ("mean", "95 % interval", "p (Holm)", "seeds"):
        table.add_column(name, justify="right")
    for difference in differences:
        name = difference.network.replace("[", r"\[")
        table.add_row(name, *difference_texts(difference), str(difference.n))
    return table
