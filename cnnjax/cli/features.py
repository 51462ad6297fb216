"""`cnnjax features`: what a network makes of images, as arrays for any other tool."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from cnnjax.classifier.classifier import BATCH_SIZE
from cnnjax.classifier.embeddings import embeddings
from cnnjax.cli.arguments import metavar, option
from cnnjax.cli.network import classifier_of
from cnnjax.data.photographs_of import Photographs, photographs_of
from cnnjax.errors import BadArgument, Failed
from cnnjax.files import replacing
from cnnjax.terminal import tell

__all__ = ["features"]


def features(
    network: Annotated[str, tyro.conf.Positional, metavar("NETWORK|DIR")],
    data: Annotated[str, tyro.conf.Positional, metavar("NAME")],
    *,
    out: Annotated[Path, metavar("FILE.npz")],
    stage: Annotated[str, metavar("NAME")] = "pre_logits",
    split: Annotated[str, metavar("SPLIT")] = "train",
    weights: Annotated[str | None, option("SOURCE")] = None,
    batch_size: Annotated[int, metavar("N")] = BATCH_SIZE,
    data_dir: Annotated[Path | None, option("DIR")] = None,
) -> int:
    """Write what a stage of a network computes of each image of a data set.

    Each image is cut, resized and normalized as the weights expect it. The file has `features`
    [N, ...], `labels` [N], `class_names` [K] and, of files, `files` [N]. One that cannot be read
    is reported and left out; the exit status is then 1.

    Example: cnnjax features efficientnet_lite0 mnist5k --out features.npz

    Args:
        network: a name from `cnnjax models`, or the directory of a training.
        data: a data set as `cnnjax train` takes it.
        out: the file to write.
        stage: stem, stage1, ... or pre_logits, what the last linear layer is given.
        split: train, validation, test, or a slice of one.
        weights: for a name: package (the default), a file, a directory or a hub id.
        batch_size: how many images are read and looked at together.
        data_dir: where prepared datasets are, else TFDS_DATA_DIR.
    """
    if out.suffix != ".npz":
        raise BadArgument(f"out: received {str(out)!r}, allowed: a name ending in .npz")
    classifier = classifier_of(network, weights)
    found = photographs_of(data, split, data_dir, classifier.image_shape[-1])
    rows: list[np.ndarray] = []
    kept: list[int] = []
    for number, row in embeddings(classifier, found.photographs, stage, batch_size=batch_size):
        if isinstance(row, Failed):
            tell(str(row))
        else:
            rows.append(row)
            kept.append(number)
    if not rows:
        raise Failed(f"none of {len(found.photographs):,} images can be read")
    _write(out, rows, kept, found)
    print(f"{out} has {stage} of {len(rows):,} images, {list(rows[0].shape)} each")
    return 1 if len(rows) < len(found.photographs) else 0


def _write(out: Path, rows: Sequence[np.ndarray], kept: list[int], found: Photographs) -> None:
    arrays: dict[str, Any] = {
        "features": np.stack(rows),
        "labels": np.asarray(found.labels)[kept],
        "class_names": np.array(found.class_names),
    }
    if found.files is not None:
        arrays["files"] = np.array([found.files[index] for index in kept])
    with replacing(out) as stream:
        np.savez(stream, **arrays)
