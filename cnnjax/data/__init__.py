"""Datasets in memory, photographs from files, and augmentation as pure functions on batches."""

from cnnjax.data.class_names import class_names
from cnnjax.data.dataset import Dataset, statistics
from cnnjax.data.describe import catalogue, describe, examine
from cnnjax.data.directory import list_datasets, list_prepared
from cnnjax.data.from_arrays import from_arrays
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.image_sets import from_folder, from_list
from cnnjax.data.load import load
from cnnjax.data.photographs import prepare_photograph, read_photograph
from cnnjax.data.prepare import prepare
from cnnjax.data.preprocessing import Preprocessing
from cnnjax.data.resizing import Resize, resize, resize_images
from cnnjax.data.source import Source, Subset
from cnnjax.data.splits import Splits, load_splits
from cnnjax.data.stratified import split_off

__all__ = [
    "Dataset",
    "ImageFiles",
    "Preprocessing",
    "Resize",
    "Source",
    "Splits",
    "Subset",
    "catalogue",
    "class_names",
    "describe",
    "examine",
    "from_arrays",
    "from_folder",
    "from_list",
    "list_datasets",
    "list_prepared",
    "load",
    "load_splits",
    "prepare",
    "prepare_photograph",
    "read_photograph",
    "resize",
    "resize_images",
    "split_off",
    "statistics",
]
