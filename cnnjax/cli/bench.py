"""`cnnjax bench`: how fast networks are here."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from cnnjax.benchmark import PEERS, Case, Settings, Torch, benchmark
from cnnjax.benchmark.shown import draw, print_results
from cnnjax.cli.arguments import MOST_SEEDS, metavar, option
from cnnjax.data.resizing import MOST_PIXELS
from cnnjax.errors import bounded
from cnnjax.records import command_line
from cnnjax.terminal import print_json

__all__ = ["bench"]


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


def _split(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))
