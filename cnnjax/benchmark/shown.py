"""Results of a benchmark for people: tables on a terminal, and a picture of the ratios."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from cnnjax.benchmark.results import compile_rows, geometric_means, step_rows
from cnnjax.errors import Failed
from cnnjax.files import printable, replacing
from cnnjax.terminal import console, print_table

__all__ = ["draw", "print_results"]


def print_results(results: Mapping[str, Any]) -> None:
    """Print the tables of some results: steps, compile time and memory, means over networks."""
    steps = list(step_rows(results))
    if steps:
        print_table(
            ["network", "mode", "peer", ">n", ">ms", ">min", ">max", ">images/s", ">x first",
             ">matmul", ">MiB"],
            [_step_cells(row) for row in steps],
            title="Steps. x first: how many times as long as the first peer of the same mode",
            styles=["" if row["ratio_to_first"] == 1 else "dim" for row in steps],
            spare=(">min", ">max", ">MiB", ">matmul"),
        )  # fmt: skip
    compiled = list(compile_rows(results))
    if compiled:
        print_table(
            [
                "network",
                "peer",
                ">trace s",
                ">cold s",
                ">cpu s",
                ">warm s",
                ">MiB",
                ">resident MiB",
            ],
            [_compile_cells(row) for row in compiled],
            title="Compiling the training step in a new process; warm: with a filled cache",
        )
    means = [
        [mode, peer, f"{mean['ratio']:.2f}", f"{mean['least']:.2f}", str(mean["n"])]
        for mode, peers in geometric_means(results).items()
        for peer, mean in peers.items()
    ]
    if means:
        print_table(
            ["mode", "peer", ">x first", ">least", ">networks"],
            means,
            title="Geometric means over networks. Above 1: the first peer is faster",
        )
    hardware = results["hardware"]
    place = f"{hardware['cpu']}, {hardware['cores']} cores; forms chosen for: "
    console().print(Text(printable(place + hardware.get("processor", "unknown"))), style="dim")
    absent = {
        f"{peer} is absent ({reason})"
        for case in results["cases"].values()
        for entry in case.values()
        if isinstance(entry, Mapping)
        for peer, reason in entry.get("absent", {}).items()
    }
    for line in sorted(absent):
        console().print(Text(printable(line)), style="dim")


def draw(results: Mapping[str, Any], out: Path) -> Path | None:
    """Draw how many times as fast as each peer the networks are, into `speed.svg` of a directory.

    None, with a line on standard error, where matplotlib is missing or nothing was compared.
    """
    from cnnjax.plot.speed import relative_speed

    ratios: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in step_rows(results):
        if row["mode"] == "train" and row["peer"] != "ours":
            name = f"{row['network']} b{row['batch']}"
            numbers = (row["ratio_to_first"], row["ratio_min"], row["ratio_max"])
            ratios.setdefault(f"than {row['peer']}", {})[name] = numbers
    if not ratios:
        return None
    try:
        figure = relative_speed(ratios, xlabel="times as fast, training step")
    except Failed as error:
        print(f"cnnjax: no plot: {error}", file=sys.stderr)
        return None
    path = out / "speed.svg"
    with replacing(path) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return path


def _step_cells(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['network']} b{row['batch']}",
        row["mode"],
        row["peer"],
        str(row["n"]),
        *(f"{1000 * row[f'{name}_seconds']:,.1f}" for name in ("median", "min", "max")),
        f"{row['images_per_second']:,.1f}",
        f"{row['ratio_to_first']:.2f}",
        f"{row['share_of_matmul']:.0%}",
        _mebibytes(row["peak_bytes"] or row["peak_rss_bytes"]),
    ]


def _compile_cells(row: Mapping[str, Any]) -> list[str]:
    seconds = (
        "cold_lower_seconds",
        "cold_compile_seconds",
        "cold_cpu_seconds",
        "warm_compile_seconds",
    )
    return [
        f"{row['network']} b{row['batch']}",
        row["peer"],
        *(f"{row[name]:.1f}" for name in seconds),
        _mebibytes(row["peak_bytes"]),
        _mebibytes(row["peak_rss_bytes"]),
    ]


def _mebibytes(number: int | None) -> str:
    return f"{number / 2**20:,.0f}" if number else ""
