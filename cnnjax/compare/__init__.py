"""Comparisons of networks: same budget and seeds for all, results on disk."""

from cnnjax.compare.entry import Contestant, parse_contestant, parse_contestants
from cnnjax.compare.results import read_results
from cnnjax.compare.run import compare

__all__ = [
    "Contestant",
    "compare",
    "parse_contestant",
    "parse_contestants",
    "read_results",
]
