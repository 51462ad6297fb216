"""`cnnjax bench`: how fast networks are here."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.text import Text

from cnnjax.benchmark import (
    PEERS,
    Case,
    Settings,
    Torch,
    benchmark,
    compile_rows,
    geometric_means,
    step_rows,
)
from cnnjax.cli.arguments import MOST_SEEDS, metavar, option
from cnnjax.cli.table import console, print_json, print_table
from cnnjax.data.resizing import MOST_PIXELS
from cnnjax.errors import Failed, bounded
from cnnjax.files import printable, replacing
from cnnjax.records import command_line

__all__ = ["bench", "draw", "print_results"]


def bench(
    networks: Annotated[tuple[str, ...], tyro.conf.Positional, metavar("NETWORK ...")],
    *,
    batch: Annotated[int, metavar("N")] = 32,
    image_size: Annotated[int | None, option("PIXELS")] = None,
    mode: Annotated[str, metavar("MODES")] = "train,forward",
    peers: Annotated[str, metavar("PEERS")] = ",".join(PEERS),
    torch: Annotated[Path | None, option("PYTHON")] = None,
    torch_prelude: Annotated[str | None, option("MODULE")] = None,
    repeats: Annotated[int, metavar("N")] = 5,
    patience: Annotated[float, metavar("SECONDS")] = 30.0,
    scan: Annotated[int, metavar("K")] = 0,
    seeds: Annotated[int, metavar("S")] = 0,
    out: Annotated[Path | None, option("DIR")] = None,
    json: bool = False,
) -> None:
    """Time networks: this library's operations against the stock ones and against PyTorch.

    The peers take three steps in turn, the third timed; a ratio is the median over the rounds.
    Called again with the same directory it measures only what is missing there.

    Example: cnnjax bench resnet20_cifar mobilenet_v2_cifar --batch 128 --torch ../torch/bin/python

    Args:
        networks: names from `cnnjax models`.
        batch: images a step.
        image_size: pixels; by default what each network was made for.
        mode: train, forward, compile (time and memory of compiling), with commas between.
        peers: ours, stock, torch, torch-compile, with commas between.
        torch: an interpreter that has PyTorch, torchvision and timm; by default its columns are
            left out.
        torch_prelude: a module that it imports first.
        repeats: rounds; one step of every peer each.
        patience: a peer whose first step takes longer takes no other.
        scan: also K training steps in one lax.scan against the same steps one by one.
        seeds: also a training step of S seeds under vmap against S single ones.
        out: directory for results.json, steps.csv, compile.csv and speed.svg.
        json: print results.json, and neither progress nor tables.
    """
    bounded("batch", batch, 1, 2**16)
    if image_size is not None:
        bounded("image_size", image_size, 1, MOST_PIXELS)
    bounded("repeats", repeats, 1, 10_000)
    bounded("scan", scan, 0, 4096)
    bounded("seeds", seeds, 0, MOST_SEEDS)
    results = benchmark(
        [Case(name, batch, image_size or 0) for name in networks],
        Settings(
            modes=_split(mode),
            peers=_split(peers),
            repeats=repeats,
            patience=patience,
            scan=scan,
            seeds=seeds,
            torch=Torch(str(torch), torch_prelude) if torch else None,
        ),
        out=out,
        command=command_line(),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if out is not None:
        draw(results, out)
    if json:
        print_json(results)
    else:
        print_results(results)


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


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


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
