"""Datasets in memory, and augmentation as pure functions on batches."""

from cnnjax.data.dataset import Dataset, split_off, statistics
from cnnjax.data.load import list_datasets, list_prepared, load, prepare

__all__ = [
    "Dataset",
    "list_datasets",
    "list_prepared",
    "load",
    "prepare",
    "split_off",
    "statistics",
]
