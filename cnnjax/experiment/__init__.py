"""Comparisons of networks: same budget and seeds for all, results on disk, a report."""

from cnnjax.analysis.provenance import command_line
from cnnjax.experiment.comparison import compare
from cnnjax.experiment.contestant import Contestant, parse_contestant, parse_contestants
from cnnjax.experiment.report import write_report
from cnnjax.experiment.results import read_results
from cnnjax.experiment.table import print_tables

__all__ = [
    "Contestant",
    "command_line",
    "compare",
    "parse_contestant",
    "parse_contestants",
    "print_tables",
    "read_results",
    "write_report",
]
