"""How long single convolutions take on this machine: our forms, the stock operation, PyTorch.

Forward, input gradient and kernel gradient of every row below, interleaved in one run: each
round times every candidate once, and the medians of the rounds are compared.

    python experiments/bench_operations.py --out runs/operations --rounds 7
    python experiments/bench_operations.py --out runs/operations --rows "3x3 64" --torch PYTHON
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnjax.ops import choose, xla
from cnnjax.ops.geometry import Geometry


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
DIRECTIONS = ("forward", "input gradient", "kernel gradient")

# Run by the other interpreter: rows as JSON on stdin, {row: [[seconds, ...] x 3]} on stdout.
TORCH = """
import json, sys, time, torch
job = json.load(sys.stdin)
out = {}
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
    runs = (
        lambda: torch.nn.functional.conv2d(x, w, None, stride, pads, 1, groups),
        lambda: backward([True, False, False]),
        lambda: backward([False, True, False]),
    )
    out[name] = [[] for _ in runs]
    for round in range(job["rounds"] + 1):
        for times, run in zip(out[name], runs):
            start = time.perf_counter()
            run()
            if round:
                times.append(time.perf_counter() - start)
json.dump(out, sys.stdout)
"""


def programs(row: Row, module, x: jax.Array, w: jax.Array, g: jax.Array) -> list:
    """Compile the three directions of one row with `choose` or `xla`."""
    edge = (row.kernel // 2, row.kernel // 2)
    geometry = Geometry((row.stride, row.stride), (edge, edge), (1, 1), row.groups)
    return [
        (jax.jit(lambda x, w: module.forward(x, w, geometry)), (x, w)),
        (jax.jit(lambda g, w: module.input_gradient(g, w, geometry, x.shape)), (g, w)),
        (jax.jit(lambda x, g: module.kernel_gradient(x, g, geometry, w.shape)), (x, g)),
    ]


def timed(function, arguments) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start


def measure(row: Row, rounds: int, stock_limit: float) -> dict[str, list[list[float]]]:
    """Return seconds for each side and direction; a stock run beyond the limit is not repeated."""
    random = np.random.default_rng(0)
    out = (row.pixels + 2 * (row.kernel // 2) - row.kernel) // row.stride + 1
    shapes = (
        (row.batch, row.pixels, row.pixels, row.channels),
        (row.kernel, row.kernel, row.channels // row.groups, row.outputs),
        (row.batch, out, out, row.outputs),
    )
    arrays = [jnp.asarray(random.standard_normal(s, dtype=np.float32)) for s in shapes]
    sides = {"ours": programs(row, choose, *arrays), "stock": programs(row, xla, *arrays)}
    first = {side: [timed(*run) for run in runs] for side, runs in sides.items()}
    times: dict[str, list[list[float]]] = {side: [[], [], []] for side in sides}
    for _ in range(rounds):
        for side, runs in sides.items():
            for direction, run in enumerate(runs):
                if side == "stock" and first[side][direction] > stock_limit:
                    times[side][direction] = [first[side][direction]]
                else:
                    times[side][direction].append(timed(*run))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="directory for operations.csv/.json"
    )
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stock-limit", type=float, default=2.0, help="seconds")
    parser.add_argument("--torch", help="an interpreter that can import torch")
    options = parser.parse_args()
    rows = {name: row for name, row in ROWS.items() if options.rows in name}
    if not rows:
        sys.exit(f"--rows: got {options.rows!r}; allowed: part of one of {', '.join(ROWS)}")

    torch: dict[str, list[list[float]]] = {}
    if options.torch:
        job = json.dumps({"rows": rows, "rounds": options.rounds})
        run = subprocess.run(
            [options.torch, "-c", TORCH], input=job, capture_output=True, text=True, check=True
        )
        torch = json.loads(run.stdout)
    else:
        print("no --torch: no PyTorch column")

    table = []
    for name, row in rows.items():
        times = measure(row, options.rounds, options.stock_limit)
        if name in torch:
            times["torch"] = torch[name]
        for direction, label in enumerate(DIRECTIONS):
            record = {"operation": name, "direction": label, "jax": jax.__version__}
            for side, values in times.items():
                record[f"{side}_ms"] = round(median(values[direction]) * 1e3, 2)
                record[f"{side}_n"] = len(values[direction])
            table.append(record)
            figures = "  ".join(f"{side} {record[f'{side}_ms']:9.2f}" for side in times)
            print(f"{name:30} {label:16} {figures}", flush=True)

    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "operations.json").write_text(json.dumps(table, indent=1) + "\n")
    with (options.out / "operations.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
