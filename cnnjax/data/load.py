"""Reading one split of a data set of any kind."""

import os
import warnings

from cnnjax.data.collection import open_collection, sliced
from cnnjax.data.dataset import Dataset
from cnnjax.data.image_files import ImageFiles
from cnnjax.data.resizing import Resize

__all__ = ["load"]


def load(
    name: str,
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
    *,
    resize: int | str | Resize | None = None,
) -> Dataset | ImageFiles:
    """Read one split of a data set, in the order of its records.

    Args:
        name: `"mnist5k"`, `"digits"`, any name that TFDS knows, `"folder:PATH"` or `"list:FILE"`,
            with what `open_collection` lets follow: `"cifar10[:5000,stratified]"`,
            `"list:FILE?label=species"`.
        split: `"train"`, `"test"`, what else it has, or a slice, such as `"train[:1000]"`,
            `"train[90%:]"` or `"train[:1000,stratified]"`.
        data_dir: where prepared datasets are, else `$TFDS_DATA_DIR`, else TFDS's default.
        resize: how images become squares as they are read: a number of pixels, a `Resize`, or a
            text such as `"224:pad"`; None leaves them as they are, and all must have one size.

    Returns:
        Images uint8 of one shape, labels `[N]` int32 and the names of the classes: a `Dataset` of
        what TFDS knows, whole in memory; `ImageFiles` of a folder or list.

    Raises:
        BadArgument: for an unknown data set or split, an empty split, a dataset without an image
            or a class label, images of several sizes, or a label outside the classes.
        Failed: if it cannot be prepared or read, or does not fit into memory; says how to repair
            that.
    """
    collection, part = open_collection(name, data_dir, Resize.of(resize))
    found = collection.read(sliced(split, part))
    for note in found.notes if isinstance(found, ImageFiles) else ():
        warnings.warn(f"{found.name}: {note}", stacklevel=2)
    return found
