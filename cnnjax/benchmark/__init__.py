"""How fast a network is here: compiled, against the stock operations and against PyTorch.

A case is a network with a batch and an image size. Its peers take turns in one run (A B C A B C
...), three steps each of which the third is timed, all but one asleep at any moment, so that a busy
machine slows all of them and the ratios round by round still mean something. Results are medians
with their spread and n.
"""

from cnnjax.benchmark.case import HYPER, RECIPE, Case
from cnnjax.benchmark.peers import PEERS
from cnnjax.benchmark.results import Results, compile_rows, geometric_means, step_rows
from cnnjax.benchmark.run import ALL_MODES, Settings, benchmark
from cnnjax.benchmark.torch_client import Torch

__all__ = [
    "ALL_MODES",
    "HYPER",
    "PEERS",
    "RECIPE",
    "Case",
    "Results",
    "Settings",
    "Torch",
    "benchmark",
    "compile_rows",
    "geometric_means",
    "step_rows",
]
