"""How fast is a training step on this machine, and how fast is PyTorch's?

Question. What do the operations of `cnnjax.ops` save against the stock ones of XLA, and is a
training step then as fast as PyTorch's?

Networks. Four for images of 32 pixels and six for 224: plain, wide and dense ones, grouped and
depthwise convolutions. Random images and labels; SGD with momentum 0.9, norms in training mode.

Measurement. For each network the peers take three steps in turn, of which the third is timed, after
one or two that do not count, and all but one sleep. Medians over the rounds; a ratio is the median
of the ratios of single rounds. The floating-point rate of a 2048 x 2048 matrix product is measured
in the same run.

    python experiments/bench_training_step.py --out experiments/results/training_step \\
        --torch PYTHON --torch-prelude MODULE

measures what is missing there; with names of networks only those, which allows for short slices.
"""

import argparse
import sys
from pathlib import Path

from cnnjax.benchmark import ALL_MODES, PEERS, Case, Settings, Torch, benchmark
from cnnjax.benchmark.shown import draw, print_results
from cnnjax.errors import BadArgument, Failed, unknown
from cnnjax.models import MODELS
from cnnjax.records import command_line
from cnnjax.runtime import enable_cache, use_huge_pages

BATCHES = {
    "resnet20_cifar": 128,
    "resnet18_cifar": 128,
    "wrn16_4_cifar": 64,
    "densenet_bc40_12_cifar": 64,
    "mobilenet_v2": 16,
    "resnet50": 8,
    "resnext50_32x4d": 8,
    "efficientnet_b0": 16,
    "convnext_tiny": 8,
    "shufflenet_v2_x1_0": 16,
}
LOOPS = {"resnet20_cifar": 128, "mobilenet_v2_cifar": 32}
"""Networks whose steps are also taken in a scan and under vmap."""

SCAN_STEPS, SEEDS = 8, 4


def main() -> int:
    """Measure what is missing, draw it, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help="only these; all by default")
    parser.add_argument("--out", type=Path, required=True, help="directory of the results")
    parser.add_argument("--torch", help="an interpreter with PyTorch, torchvision and timm")
    parser.add_argument("--torch-prelude", help="a module that it imports first")
    parser.add_argument("--repeats", type=int, default=5, help="rounds; default 5")
    parser.add_argument("--patience", type=float, default=30, help="seconds of a first step")
    parser.add_argument("--peers", default=",".join(PEERS), help=", ".join(PEERS))
    parser.add_argument("--mode", default=",".join([*ALL_MODES, "loops"]), help="what to measure")
    arguments = parser.parse_args()
    use_huge_pages()
    enable_cache()

    chosen = arguments.networks or list(BATCHES | LOOPS)
    for name in set(chosen) - set(BATCHES | LOOPS):
        raise unknown("network", name, BATCHES | LOOPS)
    modes = arguments.mode.split(",")
    torch = Torch(arguments.torch, arguments.torch_prelude) if arguments.torch else None
    shared = {"repeats": arguments.repeats, "patience": arguments.patience, "torch": torch}
    steps = Settings(
        modes=[mode for mode in modes if mode != "loops"],
        peers=arguments.peers.split(","),
        **shared,
    )
    loops = Settings(modes=(), scan=SCAN_STEPS, seeds=SEEDS, **shared)
    results = None
    for name in chosen:
        if name not in MODELS:
            print(f"{name}: not among the networks yet, left out", file=sys.stderr)
            continue
        for batches, settings in ((BATCHES, steps), (LOOPS, loops)):
            if name in batches and (settings is steps or "loops" in modes):
                results = benchmark(
                    [Case(name, batches[name])],
                    settings,
                    out=arguments.out,
                    command=command_line(),
                    say=lambda line: print(line, file=sys.stderr, flush=True),
                )
    if results is not None:
        draw(results, arguments.out)
        print_results(results)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BadArgument, Failed) as error:
        print(f"bench_training_step: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadArgument) else 1)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(130)
