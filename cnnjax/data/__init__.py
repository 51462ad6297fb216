"""Datasets in memory, and augmentation as pure functions on batches."""

from cnnjax.data.dataset import Dataset, split_off, statistics
from cnnjax.data.describe import catalogue, describe
from cnnjax.data.load import load
from cnnjax.data.prepare import list_datasets, list_prepared, prepare

__all__ = [
    "Dataset",
    "catalogue",
    "describe",
    "list_datasets",
    "list_prepared",
    "load",
    "prepare",
    "split_off",
    "statistics",
]
