"""Datasets in memory, photographs from files, and augmentation as pure functions on batches."""

from cnnjax.data.class_names import class_names
from cnnjax.data.dataset import Dataset, resize, split_off, statistics
from cnnjax.data.describe import catalogue, describe
from cnnjax.data.load import load
from cnnjax.data.photographs import prepare_photograph, read_photograph
from cnnjax.data.prepare import list_datasets, list_prepared, prepare

__all__ = [
    "Dataset",
    "catalogue",
    "class_names",
    "describe",
    "list_datasets",
    "list_prepared",
    "load",
    "prepare",
    "prepare_photograph",
    "read_photograph",
    "resize",
    "split_off",
    "statistics",
]
