"""Where results come from, and how they lie on disk."""

from cnnjax.records.events import JsonLines, Logger, TensorBoard, WeightsAndBiases
from cnnjax.records.experiment import Experiment, read_experiment
from cnnjax.records.provenance import command_line, commit, hardware, here, now, versions
from cnnjax.records.store import Kind, Store

__all__ = [
    "Experiment",
    "JsonLines",
    "Kind",
    "Logger",
    "Store",
    "TensorBoard",
    "WeightsAndBiases",
    "command_line",
    "commit",
    "hardware",
    "here",
    "now",
    "read_experiment",
    "versions",
]
