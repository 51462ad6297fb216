"""How long single operations take on this machine: our forms, the stock operation, PyTorch.

Forward, input gradient and kernel gradient of every convolution and max pooling below, interleaved
in one run: each round times every candidate once, and the medians of the rounds are compared.

    python experiments/bench_operations.py --out runs/operations --rounds 7
    python experiments/bench_operations.py --out runs/operations --rows "3x3 64" --torch PYTHON

With --table every form that `cnnjax.ops` has is timed instead, on layers of the networks below, in
float32 and bfloat16. The times go to `results/bench_operations/KIND.csv`, and what follows from
them to `cnnjax/ops/choices/KIND.csv`, by which this kind of processor then chooses; rows of other
versions of jax are kept. It goes on from where it was interrupted. With --small both files go to
the directory of the results, from a few small layers.

    python experiments/bench_operations.py --table --out runs/operations/jax012
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.benchmark import Case
from cnnjax.benchmark.operations import layers_of, measure, spread_out
from cnnjax.benchmark.thresholds import FIGURES, figure_rows, merge, table_rows
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing
from cnnjax.models import build
from cnnjax.ops import choose, max_pool, stock, xla
from cnnjax.ops.choose import COLUMNS, DTYPES, TABLES
from cnnjax.ops.geometry import Geometry, Layer
from cnnjax.records import Experiment, hardware
from cnnjax.runtime import processor, use_huge_pages
from cnnjax.terminal import print_table


class Row(NamedTuple):
    """One convolution: square images, kernel, stride; padding keeps the size at stride 1."""

    batch: int
    pixels: int
    channels: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1


ROWS = {
    "3x3 64-64 32px b128": Row(128, 32, 64, 64, 3),
    "3x3 128-128 16px b128": Row(128, 16, 128, 128, 3),
    "3x3 256-256 8px b128": Row(128, 8, 256, 256, 3),
    "3x3 512-512 4px b128": Row(128, 4, 512, 512, 3),
    "3x3 16-16 32px b128": Row(128, 32, 16, 16, 3),
    "3x3 64-64 56px b16": Row(16, 56, 64, 64, 3),
    "3x3 156-12 32px b64": Row(64, 32, 156, 12, 3),
    "3x3 3-64 32px b128": Row(128, 32, 3, 64, 3),
    "3x3/2 64-128 32px b128": Row(128, 32, 64, 128, 3, 2),
    "7x7/2 3-64 224px b16": Row(16, 224, 3, 64, 7, 2),
    "1x1 64-256 56px b16": Row(16, 56, 64, 256, 1),
    "1x1/2 64-128 32px b128": Row(128, 32, 64, 128, 1, 2),
    "depthwise 3x3 144 56px b32": Row(32, 56, 144, 144, 3, 1, 144),
    "depthwise 5x5 480 14px b16": Row(16, 14, 480, 480, 5, 1, 480),
    "depthwise 7x7 384 14px b32": Row(32, 14, 384, 384, 7, 1, 384),
    "grouped 3x3 256/32 28px b32": Row(32, 28, 256, 256, 3, 1, 32),
    "grouped 3x3 128/32 56px b8": Row(8, 56, 128, 128, 3, 1, 32),
}


class Pool(NamedTuple):
    """One max pooling of square images."""

    batch: int
    pixels: int
    channels: int
    window: int
    stride: int


POOLS = {
    "max pool 2x2/2 64 32px b128": Pool(128, 32, 64, 2, 2),
    "max pool 3x3/2 64 56px b64": Pool(64, 56, 64, 3, 2),
    "max pool 3x3/1 64 56px b16": Pool(16, 56, 64, 3, 1),
    "max pool 13x13/1 320 7px b16": Pool(16, 7, 320, 13, 1),
}
NETWORKS = {
    "resnet20_cifar": 128, "resnet18_cifar": 128, "wrn16_4_cifar": 64, "densenet_bc40_12_cifar": 64,
    "mobilenet_v2": 16, "resnet50": 8, "resnext50_32x4d": 8, "efficientnet_b0": 16,
    "convnext_tiny": 8, "shufflenet_v2_x1_0": 16,
}  # fmt: skip
"""Whose layers are timed for the table, and with how many images."""

LAYERS = {
    "3x3": 9, "grouped 3x3": 3, "dense": 6, "grouped": 2, "pointwise": 3, "depthwise": 4
}  # fmt: skip
DIRECTIONS = ("forward", "input gradient", "kernel gradient")

# Run by the other interpreter: rows as JSON on stdin, {row: [[seconds, ...] x 3]} on stdout.
TORCH = """
import json, sys, time, torch
job = json.load(sys.stdin)
out = {}

def timed(name, runs):
    out[name] = [[] for _ in runs]
    for round in range(job["rounds"] + 1):
        for times, run in zip(out[name], runs):
            start = time.perf_counter()
            run()
            if round:
                times.append(time.perf_counter() - start)

for name, (batch, pixels, channels, window, stride) in job["pools"].items():
    x = torch.randn(batch, channels, pixels, pixels).to(memory_format=torch.channels_last)
    pool = (window, stride, (window - 1) // 2)
    y, places = torch.nn.functional.max_pool2d(x, *pool, return_indices=True)
    g = torch.randn_like(y)
    timed(name, (
        lambda: torch.nn.functional.max_pool2d(x, *pool),
        lambda: torch.ops.aten.max_pool2d_with_indices_backward(
            g, x, *([size] * 2 for size in pool), [1, 1], False, places),
    ))
for name, (batch, pixels, channels, outputs, kernel, stride, groups) in job["rows"].items():
    x = torch.randn(batch, channels, pixels, pixels).to(memory_format=torch.channels_last)
    w = torch.randn(outputs, channels // groups, kernel, kernel)
    w = w.to(memory_format=torch.channels_last)
    pads = [kernel // 2] * 2
    y = torch.nn.functional.conv2d(x, w, None, stride, pads, 1, groups)
    g = torch.randn_like(y)
    def backward(mask):
        torch.ops.aten.convolution_backward(
            g, x, w, None, [stride] * 2, pads, [1, 1], False, [0, 0], groups, mask)
    timed(name, (
        lambda: torch.nn.functional.conv2d(x, w, None, stride, pads, 1, groups),
        lambda: backward([True, False, False]),
        lambda: backward([False, True, False]),
    ))
json.dump(out, sys.stdout)
"""


Run = tuple[Callable[..., jax.Array], tuple[jax.Array, ...]]


def arrays(*shapes: tuple[int, ...]) -> list[jax.Array]:
    random = np.random.default_rng(0)
    return [jnp.asarray(random.standard_normal(shape, dtype=np.float32)) for shape in shapes]


def convolutions(row: Row) -> dict[str, list[Run]]:
    """Return the three directions of one row with `choose` and with `xla`."""
    edge = (row.kernel // 2, row.kernel // 2)
    geometry = Geometry((row.stride, row.stride), (edge, edge), (1, 1), row.groups)
    layer = Layer(geometry, (row.pixels, row.pixels), (row.kernel, row.kernel))
    out = (row.pixels + 2 * (row.kernel // 2) - row.kernel) // row.stride + 1
    x, w, g = arrays(
        (row.batch, row.pixels, row.pixels, row.channels),
        (row.kernel, row.kernel, row.channels // row.groups, row.outputs),
        (row.batch, out, out, row.outputs),
    )

    def side(module: Any) -> list[Run]:
        return [
            (jax.jit(lambda x, w: module.forward(x, w, layer)), (x, w)),
            (jax.jit(lambda g, w: module.input_gradient(g, w, layer)), (g, w)),
            (jax.jit(lambda x, g: module.kernel_gradient(x, g, layer)), (x, g)),
        ]

    return {"ours": side(choose), "stock": side(xla)}


def pools(row: Pool) -> dict[str, list[Run]]:
    """Return both directions of one pooling, ours and stock."""
    edge = (row.window - 1) // 2
    pool = lambda x: max_pool(x, row.window, strides=row.stride, padding=edge)
    (x,) = arrays((row.batch, row.pixels, row.pixels, row.channels))
    (g,) = arrays(jax.eval_shape(pool, x).shape)

    def side() -> list[Run]:
        # New functions each time: `jit` remembers functions, and the context is not part of them.
        gradient = lambda g, x: jax.vjp(pool, x)[1](g)[0]
        runs: list[Run] = [(jax.jit(lambda x: pool(x)), (x,)), (jax.jit(gradient), (g, x))]
        return [(function.lower(*given).compile(), given) for function, given in runs]  # type: ignore[attr-defined]

    ours = side()
    with stock():
        return {"ours": ours, "stock": side()}


def timed(function, arguments) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def measure_sides(
    sides: dict[str, list[Run]], rounds: int, stock_limit: float
) -> dict[str, list[list[float]]]:
    """Return seconds for each side and direction; a stock run beyond the limit is not repeated."""
    first = {side: [timed(*run) for run in runs] for side, runs in sides.items()}
    times: dict[str, list[list[float]]] = {side: [[] for _ in sides[side]] for side in sides}
    for _ in range(rounds):
        for side, runs in sides.items():
            for direction, run in enumerate(runs):
                if side == "stock" and first[side][direction] > stock_limit:
                    times[side][direction] = [first[side][direction]]
                else:
                    times[side][direction].append(timed(*run))
    return times


def table(out: Path, rounds: int, patience: float, small: bool) -> None:
    """Time every form, write the times and the table of forms that follows from them."""
    kind, version = processor(), ".".join(map(str, jax.__version_info__[:2]))
    networks = {"lenet5": 2, "mobilenet_v2_cifar": 2} if small else NETWORKS
    layers = [
        layer
        for name, batch in networks.items()
        for layer in layers_of(build(name), Case(name, batch).image_shape, batch)
    ]
    chosen = spread_out(layers, dict.fromkeys(LAYERS, 1) if small else LAYERS)
    settings = {"kind": kind, "jax": version, "rounds": rounds, "patience": patience}
    settings["layers"] = [shape.label for shape in chosen]
    known = {"kind": kind, "jax": version, "cpu": hardware()["cpu"]}
    rows = []
    with Experiment.opened(out, settings) as results:
        for dtype in DTYPES:
            for shape in chosen:
                compute = partial(measure, shape, jnp.dtype(dtype), rounds, patience)
                times = results.remembered(f"{shape.label} {dtype}", compute)
                del times["seconds"]
                rows += figure_rows(shape, dtype, times, known)
        rules = table_rows(rows, version)
        results.conclude({"table": rules})
    place = Path(__file__).parent / "results" / "bench_operations"
    merge((out / "figures.csv") if small else place / f"{kind}.csv", FIGURES, rows)
    merge((out / "table.csv") if small else TABLES / f"{kind}.csv", COLUMNS, rules)
    shown = ("operation", "family", "dtype", "width", "pixels", "form", "over_best", "worst")
    print_table(shown, [[str(row[name]) for name in shown] for row in rules])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="directory for operations.csv/.json"
    )
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stock-limit", type=float, default=2.0, help="seconds")
    parser.add_argument("--torch", help="an interpreter that can import torch")
    parser.add_argument("--table", action="store_true", help="the table of this processor")
    parser.add_argument("--small", action="store_true", help="a few layers, into --out alone")
    options = parser.parse_args()
    if options.table:
        use_huge_pages()
        table(options.out, options.rounds, 0.3, options.small)
        return
    rows = {name: row for name, row in ROWS.items() if options.rows in name}
    pooled = {name: row for name, row in POOLS.items() if options.rows in name}
    if not rows and not pooled:
        names = ", ".join(ROWS | POOLS)
        sys.exit(f"--rows: got {options.rows!r}; allowed: part of one of {names}")

    files = [options.out / name for name in ("operations.json", "operations.csv")]
    for file in files:
        if file.exists():
            raise BadArgument(f"out: {file} is there already; allowed: another directory")
    torch: dict[str, list[list[float]]] = {}
    if options.torch:
        job = json.dumps({"rows": rows, "pools": pooled, "rounds": options.rounds})
        run = subprocess.run(
            [options.torch, "-c", TORCH], input=job, capture_output=True, text=True, check=True
        )
        torch = json.loads(run.stdout)
    else:
        print("no --torch: no PyTorch column")

    records = []
    cases = [(n, convolutions, row) for n, row in rows.items()]
    cases += [(n, pools, row) for n, row in pooled.items()]
    for name, sides, row in cases:
        times = measure_sides(sides(row), options.rounds, options.stock_limit)
        if name in torch:
            times["torch"] = torch[name]
        for direction, label in enumerate(DIRECTIONS[: len(times["ours"])]):
            record = {"operation": name, "direction": label, "jax": jax.__version__}
            for side, values in times.items():
                record[f"{side}_ms"] = round(median(values[direction]) * 1e3, 2)
                record[f"{side}_n"] = len(values[direction])
            records.append(record)
            figures = "  ".join(f"{side} {record[f'{side}_ms']:9.2f}" for side in times)
            print(f"{name:30} {label:16} {figures}", flush=True)

    lines = io.StringIO()
    writer = csv.DictWriter(lines, fieldnames=list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    for file, text in zip(
        files, (json.dumps(records, indent=1) + "\n", lines.getvalue()), strict=True
    ):
        with replacing(file) as stream:
            stream.write(text.encode())


if __name__ == "__main__":
    try:
        main()
    except (BadArgument, Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"bench_operations: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadArgument) else 1)
